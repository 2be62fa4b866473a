-- All readings of the SQL user's organization, of store and log: what is unsettled wins over what is stored for the same
-- instant. The log is looked up once for each sensor. Conditions on sensor and time reach the store, because the operators
-- = and < of their types are leakproof.
CREATE OR REPLACE VIEW tidemark.reading WITH (security_barrier) AS
SELECT s.company_id, s.id AS sensor, r.ts, r.value, r.latitude, r.longitude, r.x_axis_value, r.metadata
FROM own_sensor AS s
CROSS JOIN LATERAL own_unsettled(s.series_id, true) AS u
CROSS JOIN LATERAL (
    SELECT ts, value, latitude, longitude, x_axis_value, metadata, true AS is_stored
    FROM stored_reading
    WHERE series_id = s.series_id
    UNION ALL
    SELECT
        unnest(u.ts), unnest(u.value),
        unnest(u.latitude), unnest(u.longitude), unnest(u.x_axis_value), unnest(u.metadata), false
) AS r
-- width_bucket finds the last unsettled instant that is not after this one.
WHERE NOT r.is_stored OR u.ts[width_bucket(r.ts, u.ts)] IS DISTINCT FROM r.ts;

GRANT SELECT ON tidemark.reading TO public;
