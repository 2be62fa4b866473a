-- Reads return only what a token may see: the cooling units :seen, or all if that is null.

-- part: cooling_unit_columns
id, name, location_id, capacity_crates, capacity_kg

-- part: cooling_units_of_name
-- With any name if it is null.
FROM asset
WHERE
    company_id = :company_id AND is_cooling_unit AND (:name::text IS NULL OR name = :name)
    AND (:seen::integer [] IS NULL OR id = ANY (:seen))

-- name: insert_cooling_unit
INSERT INTO asset (company_id, id, name, location_id, capacity_crates, capacity_kg, is_cooling_unit)
VALUES (:company_id, :id, :name, :location_id, :capacity_crates, :capacity_kg, true)
RETURNING {cooling_unit_columns};

-- name: read_cooling_unit
SELECT {cooling_unit_columns}
FROM asset
WHERE
    company_id = :company_id AND id = :id AND is_cooling_unit
    AND (:seen::integer [] IS NULL OR id = ANY (:seen));

-- name: lock_cooling_unit
SELECT FROM asset WHERE company_id = :company_id AND id = :id AND is_cooling_unit FOR UPDATE;

-- name: list_cooling_units
SELECT {cooling_unit_columns}
{cooling_units_of_name}
ORDER BY id
LIMIT :size OFFSET :skip;

-- name: count_cooling_units
SELECT count(*) {cooling_units_of_name};

-- name: update_cooling_unit
UPDATE asset
SET name = :name, location_id = :location_id, capacity_crates = :capacity_crates, capacity_kg = :capacity_kg
WHERE company_id = :company_id AND id = :id AND is_cooling_unit
RETURNING {cooling_unit_columns};

-- name: delete_cooling_unit
DELETE FROM asset WHERE company_id = :company_id AND id = :id AND is_cooling_unit RETURNING id;

-- name: cooling_units
-- A company's cooling units that a token may see (null: all), by id.
SELECT {cooling_unit_columns}
FROM asset
WHERE company_id = :company_id AND is_cooling_unit AND (:seen::integer [] IS NULL OR id = ANY (:seen))
ORDER BY id;
