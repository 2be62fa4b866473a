-- What is read of sensors, assets, cooling units and locations is what a token may see: what is of the cooling units
-- :seen, all for null.

-- name: insert_sensor
INSERT INTO sensor (company_id, id, name, measure_unit, asset_id, specification_type)
VALUES (:company_id, :id, :name, :measure_unit, :asset_id, :specification_type)
RETURNING id, name, measure_unit, asset_id, specification_type;

-- name: read_sensor
SELECT id, name, measure_unit, asset_id, specification_type
FROM sensor
WHERE
    company_id = :company_id AND id = :id
    AND (:seen::integer [] IS NULL OR asset_id = ANY (:seen));

-- name: lock_sensor
SELECT FROM sensor WHERE company_id = :company_id AND id = :id FOR UPDATE;

-- name: list_sensors
SELECT id, name, measure_unit, asset_id, specification_type
FROM sensor
WHERE
    company_id = :company_id AND (:name::text IS NULL OR name = :name)
    AND (:seen::integer [] IS NULL OR asset_id = ANY (:seen))
ORDER BY id
LIMIT :size OFFSET :skip;

-- name: count_sensors
SELECT count(*)
FROM sensor
WHERE
    company_id = :company_id AND (:name::text IS NULL OR name = :name)
    AND (:seen::integer [] IS NULL OR asset_id = ANY (:seen));

-- name: update_sensor
UPDATE sensor
SET name = :name, measure_unit = :measure_unit, asset_id = :asset_id, specification_type = :specification_type
WHERE company_id = :company_id AND id = :id
RETURNING id, name, measure_unit, asset_id, specification_type;

-- name: delete_sensor
WITH gone AS (
    DELETE FROM sensor WHERE company_id = :company_id AND id = :id RETURNING series_id
)

SELECT series_id, forget_series(series_id) FROM gone;

-- name: sensors_of_ids
SELECT series_id, id, name, measure_unit, asset_id FROM sensor
WHERE company_id = :company_id AND id = ANY (:ids::text []);

-- name: sensors_of_asset
SELECT series_id, id, name, measure_unit, asset_id FROM sensor
WHERE company_id = :company_id AND asset_id = :asset_id
ORDER BY id;

-- name: next_asset_id
-- One after the largest id that there is or was made up before, so that none is given out twice. The row of the
-- organization is locked by that, and assets get their ids one at a time.
UPDATE organization
SET last_asset_id = 1 + greatest(
    last_asset_id, (SELECT max(id) FROM asset WHERE asset.company_id = organization.company_id)
)
WHERE company_id = :company_id
RETURNING last_asset_id;

-- name: insert_asset
INSERT INTO asset (company_id, id, name, location_id)
VALUES (:company_id, :id, :name, :location_id)
RETURNING id, name, location_id;

-- name: read_asset
SELECT id, name, location_id
FROM asset
WHERE
    company_id = :company_id AND id = :id
    AND (:seen::integer [] IS NULL OR id = ANY (:seen));

-- name: lock_asset
SELECT FROM asset WHERE company_id = :company_id AND id = :id FOR UPDATE;

-- name: list_assets
SELECT id, name, location_id
FROM asset
WHERE
    company_id = :company_id AND (:name::text IS NULL OR name = :name)
    AND (:seen::integer [] IS NULL OR id = ANY (:seen))
ORDER BY id
LIMIT :size OFFSET :skip;

-- name: count_assets
SELECT count(*)
FROM asset
WHERE
    company_id = :company_id AND (:name::text IS NULL OR name = :name)
    AND (:seen::integer [] IS NULL OR id = ANY (:seen));

-- name: update_asset
UPDATE asset
SET name = :name, location_id = :location_id
WHERE company_id = :company_id AND id = :id
RETURNING id, name, location_id;

-- name: delete_asset
DELETE FROM asset WHERE company_id = :company_id AND id = :id RETURNING id;

-- name: insert_cooling_unit
INSERT INTO asset (company_id, id, name, location_id, capacity_crates, capacity_kg, is_cooling_unit)
VALUES (:company_id, :id, :name, :location_id, :capacity_crates, :capacity_kg, true)
RETURNING id, name, location_id, capacity_crates, capacity_kg;

-- name: read_cooling_unit
SELECT id, name, location_id, capacity_crates, capacity_kg
FROM asset
WHERE
    company_id = :company_id AND id = :id AND is_cooling_unit
    AND (:seen::integer [] IS NULL OR id = ANY (:seen));

-- name: lock_cooling_unit
SELECT FROM asset WHERE company_id = :company_id AND id = :id AND is_cooling_unit FOR UPDATE;

-- name: list_cooling_units
SELECT id, name, location_id, capacity_crates, capacity_kg
FROM asset
WHERE
    company_id = :company_id AND is_cooling_unit AND (:name::text IS NULL OR name = :name)
    AND (:seen::integer [] IS NULL OR id = ANY (:seen))
ORDER BY id
LIMIT :size OFFSET :skip;

-- name: count_cooling_units
SELECT count(*)
FROM asset
WHERE
    company_id = :company_id AND is_cooling_unit AND (:name::text IS NULL OR name = :name)
    AND (:seen::integer [] IS NULL OR id = ANY (:seen));

-- name: update_cooling_unit
UPDATE asset
SET name = :name, location_id = :location_id, capacity_crates = :capacity_crates, capacity_kg = :capacity_kg
WHERE company_id = :company_id AND id = :id AND is_cooling_unit
RETURNING id, name, location_id, capacity_crates, capacity_kg;

-- name: delete_cooling_unit
DELETE FROM asset WHERE company_id = :company_id AND id = :id AND is_cooling_unit RETURNING id;

-- name: next_location_id
-- Like next_asset_id.
UPDATE organization
SET last_location_id = 1 + greatest(
    last_location_id, (SELECT max(id) FROM location WHERE location.company_id = organization.company_id)
)
WHERE company_id = :company_id
RETURNING last_location_id;

-- name: insert_location
INSERT INTO location (company_id, id, name) VALUES (:company_id, :id, :name) RETURNING id, name;

-- name: read_location
SELECT id, name
FROM location
WHERE
    company_id = :company_id AND id = :id
    AND (
        :seen::integer [] IS NULL OR EXISTS (
            SELECT FROM asset
            WHERE
                asset.company_id = location.company_id
                AND asset.location_id = location.id
                AND asset.id = ANY (:seen)
        )
    );

-- name: lock_location
SELECT FROM location WHERE company_id = :company_id AND id = :id FOR UPDATE;

-- name: list_locations
SELECT id, name
FROM location
WHERE
    company_id = :company_id AND (:name::text IS NULL OR name = :name)
    AND (
        :seen::integer [] IS NULL OR EXISTS (
            SELECT FROM asset
            WHERE
                asset.company_id = location.company_id
                AND asset.location_id = location.id
                AND asset.id = ANY (:seen)
        )
    )
ORDER BY id
LIMIT :size OFFSET :skip;

-- name: count_locations
SELECT count(*)
FROM location
WHERE
    company_id = :company_id AND (:name::text IS NULL OR name = :name)
    AND (
        :seen::integer [] IS NULL OR EXISTS (
            SELECT FROM asset
            WHERE
                asset.company_id = location.company_id
                AND asset.location_id = location.id
                AND asset.id = ANY (:seen)
        )
    );

-- name: update_location
UPDATE location SET name = :name WHERE company_id = :company_id AND id = :id RETURNING id, name;

-- name: delete_location
DELETE FROM location WHERE company_id = :company_id AND id = :id RETURNING id;

-- name: insert_site
INSERT INTO site (company_id, site_id, name, domain, timezone, is_active)
VALUES (:company_id, :siteId, :name, :domain, :timezone, :isActive)
RETURNING
    site_id AS "siteId", name, domain, timezone, is_active AS "isActive",
    to_char(created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') AS "createdAt";

-- name: read_site
SELECT
    site_id AS "siteId", name, domain, timezone, is_active AS "isActive",
    to_char(created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') AS "createdAt"
FROM site
WHERE company_id = :company_id AND site_id = :id;

-- name: lock_site
SELECT FROM site WHERE company_id = :company_id AND site_id = :id FOR UPDATE;

-- name: list_sites
SELECT
    site_id AS "siteId", name, domain, timezone, is_active AS "isActive",
    to_char(created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') AS "createdAt"
FROM site
WHERE company_id = :company_id AND (:name::text IS NULL OR name = :name)
ORDER BY site_id
LIMIT :size OFFSET :skip;

-- name: count_sites
SELECT count(*) FROM site WHERE company_id = :company_id AND (:name::text IS NULL OR name = :name);

-- name: update_site
UPDATE site
SET name = :name, domain = :domain, timezone = :timezone, is_active = :isActive
WHERE company_id = :company_id AND site_id = :siteId
RETURNING
    site_id AS "siteId", name, domain, timezone, is_active AS "isActive",
    to_char(created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') AS "createdAt";

-- name: delete_site
WITH gone AS (
    DELETE FROM site WHERE company_id = :company_id AND site_id = :id RETURNING site_number
)

SELECT site_number, forget_site(site_number) FROM gone;
