-- name: insert_sensor
INSERT INTO sensor (company_id, id, name, measure_unit, asset_id, specification_type)
VALUES (:company_id, :id, :name, :measure_unit, :asset_id, :specification_type)
RETURNING id, name, measure_unit, asset_id, specification_type;

-- name: read_sensor
SELECT id, name, measure_unit, asset_id, specification_type
FROM sensor
WHERE company_id = :company_id AND id = :id;

-- name: lock_sensor
SELECT FROM sensor WHERE company_id = :company_id AND id = :id FOR UPDATE;

-- name: list_sensors
SELECT id, name, measure_unit, asset_id, specification_type
FROM sensor
WHERE company_id = :company_id AND (:name::text IS NULL OR name = :name)
ORDER BY id
LIMIT :size OFFSET :skip;

-- name: count_sensors
SELECT count(*) FROM sensor WHERE company_id = :company_id AND (:name::text IS NULL OR name = :name);

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
INSERT INTO asset (company_id, id, name) VALUES (:company_id, :id, :name) RETURNING id, name;

-- name: read_asset
SELECT id, name FROM asset WHERE company_id = :company_id AND id = :id;

-- name: lock_asset
SELECT FROM asset WHERE company_id = :company_id AND id = :id FOR UPDATE;

-- name: list_assets
SELECT id, name
FROM asset
WHERE company_id = :company_id AND (:name::text IS NULL OR name = :name)
ORDER BY id
LIMIT :size OFFSET :skip;

-- name: count_assets
SELECT count(*) FROM asset WHERE company_id = :company_id AND (:name::text IS NULL OR name = :name);

-- name: update_asset
UPDATE asset SET name = :name WHERE company_id = :company_id AND id = :id RETURNING id, name;

-- name: delete_asset
DELETE FROM asset WHERE company_id = :company_id AND id = :id RETURNING id;
