-- Reads return only what a token may see: the sensors of the cooling units :seen, or all if that is null.

-- part: sensor_columns
id, name, measure_unit, asset_id, specification_type

-- part: sensors_of_name
-- With any name if it is null.
FROM sensor
WHERE
    company_id = :company_id AND (:name::text IS NULL OR name = :name)
    AND (:seen::integer [] IS NULL OR asset_id = ANY (:seen))

-- name: insert_sensor
INSERT INTO sensor (company_id, id, name, measure_unit, asset_id, specification_type)
VALUES (:company_id, :id, :name, :measure_unit, :asset_id, :specification_type)
RETURNING {sensor_columns};

-- name: read_sensor
SELECT {sensor_columns}
FROM sensor
WHERE
    company_id = :company_id AND id = :id
    AND (:seen::integer [] IS NULL OR asset_id = ANY (:seen));

-- name: lock_sensor
SELECT FROM sensor WHERE company_id = :company_id AND id = :id FOR UPDATE;

-- name: list_sensors
SELECT {sensor_columns}
{sensors_of_name}
ORDER BY id
LIMIT :size OFFSET :skip;

-- name: count_sensors
SELECT count(*) {sensors_of_name};

-- name: update_sensor
UPDATE sensor
SET name = :name, measure_unit = :measure_unit, asset_id = :asset_id, specification_type = :specification_type
WHERE company_id = :company_id AND id = :id
RETURNING {sensor_columns};

-- name: delete_sensor
-- From then on nobody can ask for its readings, which the settler deletes.
WITH gone AS (
    DELETE FROM sensor WHERE company_id = :company_id AND id = :id RETURNING series_id
)

INSERT INTO forgotten_series (series_id)
SELECT series_id FROM gone
RETURNING series_id;
