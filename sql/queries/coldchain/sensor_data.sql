-- name: typed_sensors
-- The sensors of a cooling unit that have a specification type, by type and id.
SELECT series_id, id, specification_type
FROM sensor
WHERE company_id = :company_id AND asset_id = :asset_id AND specification_type IS NOT NULL
ORDER BY specification_type COLLATE "C", id;

-- name: known_types
-- Those of these types that occur among the sensors that a token may see (null: all).
SELECT DISTINCT specification_type
FROM sensor
WHERE
    company_id = :company_id
    AND specification_type = ANY (:types::text [])
    AND (:seen::integer [] IS NULL OR asset_id = ANY (:seen));
