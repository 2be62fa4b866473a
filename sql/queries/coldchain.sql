-- name: cooling_units
-- Those of a company's cooling units that a token may see (null: all), by id.
SELECT id, name, location_id, capacity_crates, capacity_kg
FROM asset
WHERE company_id = :company_id AND is_cooling_unit AND (:seen::integer [] IS NULL OR id = ANY (:seen))
ORDER BY id;
