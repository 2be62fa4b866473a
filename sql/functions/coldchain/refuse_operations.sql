-- Removes from incoming_operation what a token for these units may not change. Returns what was removed and why:
-- `elsewhere` if it would replace an operation of another unit, `check_out_missing` or `check_out_elsewhere` if it is a
-- payment without a check-out at these units. A stored payment belongs to the unit of the check-out that it pays. No
-- such token may replace an operation that belongs to no unit. The company must be locked.
CREATE OR REPLACE FUNCTION refuse_operations(company integer, seen integer [])
RETURNS TABLE (operation_id text, reason text) LANGUAGE plpgsql
SET plan_cache_mode = force_custom_plan SET jit = off
AS $$
BEGIN
    RETURN QUERY
    WITH stored AS (
        SELECT o.id, coalesce(o.cooling_unit_id, paid.cooling_unit_id) AS unit
        FROM incoming_operation AS i
        INNER JOIN operation_key AS k ON k.company_id = company AND k.id = i.id
        INNER JOIN operation AS o ON o.company_id = company AND o.id = k.id AND o.occurred_at = k.occurred_at
        LEFT JOIN operation_key AS paid_key ON paid_key.company_id = company AND paid_key.id = k.check_out_id
        LEFT JOIN operation AS paid
            ON
                paid.company_id = company AND paid.id = paid_key.id AND paid.occurred_at = paid_key.occurred_at
                AND paid.type = 'check_out'
                AND may_pay(k.sender_units, paid.cooling_unit_id)
        WHERE i.company_id = company
    )

    DELETE FROM incoming_operation AS i
    USING stored AS s
    WHERE i.company_id = company AND i.id = s.id AND (s.unit = ANY (seen)) IS NOT TRUE
    RETURNING i.id, 'elsewhere';

    RETURN QUERY
    WITH unpayable AS (
        SELECT
            i.id,
            CASE WHEN coalesce(named.type, o.type) = 'check_out' THEN 'check_out_elsewhere' ELSE 'check_out_missing' END
                AS why
        FROM incoming_operation AS i
        LEFT JOIN incoming_operation AS named ON named.company_id = company AND named.id = i.check_out_id
        LEFT JOIN operation_key AS k ON k.company_id = company AND k.id = i.check_out_id
        LEFT JOIN operation AS o ON o.company_id = company AND o.id = k.id AND o.occurred_at = k.occurred_at
        WHERE
            i.company_id = company AND i.type = 'payment'
            AND CASE
                WHEN named.id IS NULL THEN (o.type = 'check_out' AND o.cooling_unit_id = ANY (seen)) IS NOT TRUE
                ELSE (named.type = 'check_out' AND named.cooling_unit_id = ANY (seen)) IS NOT TRUE
            END
    )

    DELETE FROM incoming_operation AS i
    USING unpayable AS u
    WHERE i.company_id = company AND i.id = u.id
    RETURNING i.id, u.why;
END
$$;
