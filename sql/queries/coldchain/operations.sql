-- name: prepare_operation_change
SELECT prepare_operation_change();

-- name: write_operations
-- Returns what a token for these cooling units (null: for all) may not change, and why.
SELECT operation_id, reason FROM write_operations(:seen::integer []);

-- name: known_cooling_units
-- Those of these ids that are cooling units of the company and that a token may see (null: all).
SELECT id
FROM asset
WHERE
    company_id = :company_id AND is_cooling_unit AND id = ANY (:ids::integer [])
    AND (:seen::integer [] IS NULL OR id = ANY (:seen));
