-- name: prepare_operation_change
SELECT prepare_operation_change();

-- name: write_operations
SELECT write_operations();

-- name: known_cooling_units
-- Which of these ids are cooling units of the company that a token may see (an empty list: all).
SELECT id
FROM asset
WHERE
    company_id = :company_id AND is_cooling_unit AND id = ANY (:ids::integer [])
    AND (:seen::integer [] = '{}' OR id = ANY (:seen));
