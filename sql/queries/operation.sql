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

-- name: operations_elsewhere
-- Which of these operations are of other cooling units than those; a payment is of its check-out's.
SELECT k.id
FROM operation_key AS k
INNER JOIN operation AS o ON o.company_id = k.company_id AND o.id = k.id AND o.occurred_at = k.occurred_at
LEFT JOIN operation_key AS paid_key ON paid_key.company_id = k.company_id AND paid_key.id = k.check_out_id
LEFT JOIN operation AS paid
    ON paid.company_id = paid_key.company_id AND paid.id = paid_key.id AND paid.occurred_at = paid_key.occurred_at
WHERE
    k.company_id = :company_id AND k.id = ANY (:ids::text [])
    AND coalesce(o.cooling_unit_id, paid.cooling_unit_id) <> ALL (:seen::integer []);
