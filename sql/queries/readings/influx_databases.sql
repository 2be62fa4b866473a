-- name: lock_influx_databases
-- Processes that create databases of an organization at the same time take turns.
SELECT pg_advisory_xact_lock(7463012, :company_id);

-- name: make_influx_database
-- One that already exists counts as new again, since a client that creates it again still uses it.
INSERT INTO influx_database AS d (company_id, name) VALUES (:company_id, :name)
ON CONFLICT (company_id, name) DO UPDATE SET made_at = greatest(d.made_at, excluded.made_at)
RETURNING name, made_at;

-- name: forget_influx_databases
-- All but the newest.
DELETE FROM influx_database
WHERE
    company_id = :company_id
    AND name IN (
        SELECT name FROM influx_database WHERE company_id = :company_id ORDER BY made_at DESC, name OFFSET :kept
    );

-- name: influx_databases
SELECT name, made_at FROM influx_database WHERE company_id = :company_id ORDER BY name;
