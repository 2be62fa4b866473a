-- Stores incoming_operation, which has each (company, id) once, and empties it. `seen` are the cooling units of the
-- token that sent it, null for all of them. Returns what such a token may not change, as refuse_operations does. A
-- company is locked until the end of the transaction, so one transaction at a time changes its operations. Each call
-- plans anew, since the temporary tables may have one row or thousands. Raises lock_not_available if the company stays
-- locked, for example by a change of its time zone.
CREATE OR REPLACE FUNCTION write_operations(seen integer [])
RETURNS TABLE (operation_id text, reason text) LANGUAGE plpgsql
SET plan_cache_mode = force_custom_plan SET jit = off SET lock_timeout = '3s'
AS $$
DECLARE
    company integer;
    gone text [];
BEGIN
    FOR company IN SELECT DISTINCT i.company_id FROM incoming_operation AS i ORDER BY i.company_id LOOP
        PERFORM pg_advisory_xact_lock(7463006, company);

        IF seen IS NOT NULL THEN
            UPDATE incoming_operation AS i SET sender_units = seen WHERE i.company_id = company AND i.type = 'payment';
            RETURN QUERY SELECT * FROM refuse_operations(company, seen);
        END IF;

        -- Operations of a unit that has just been deleted are dropped, and so are the stored ones that they replace.
        gone := array(
            SELECT i.id FROM incoming_operation AS i
            WHERE i.company_id = company AND i.cooling_unit_id IS NOT NULL AND NOT EXISTS (
                SELECT FROM asset AS a WHERE a.company_id = company AND a.id = i.cooling_unit_id AND a.is_cooling_unit
            )
        );
        DELETE FROM incoming_operation AS i WHERE i.company_id = company AND i.id = ANY (gone);

        INSERT INTO operation_change
        SELECT o.*, -1
        FROM (
            SELECT i.id FROM incoming_operation AS i WHERE i.company_id = company
            UNION ALL
            SELECT unnest(gone)
        ) AS i
        INNER JOIN operation_key AS k ON k.company_id = company AND k.id = i.id
        INNER JOIN operation AS o ON o.company_id = company AND o.id = k.id AND o.occurred_at = k.occurred_at;

        -- Operations that are already stored exactly as they were sent change nothing.
        IF FOUND THEN
            DELETE FROM incoming_operation AS i
            USING operation_change AS c
            WHERE i.company_id = company AND c.id = i.id
            AND (
                i.occurred_at, i.type, i.cooling_unit_id, i.user_id, i.gender, i.user_type, i.crop, i.crates,
                i.weight_kg, i.amount, i.currency, i.payment_status, i.payment_method, i.check_out_id, i.quantity_kg,
                i.quantity_below_market_price_kg, i.price_per_kg, i.loss_kg, i.sender_units
            ) IS NOT DISTINCT FROM (
                c.occurred_at, c.type, c.cooling_unit_id, c.user_id, c.gender, c.user_type, c.crop, c.crates,
                c.weight_kg, c.amount, c.currency, c.payment_status, c.payment_method, c.check_out_id, c.quantity_kg,
                c.quantity_below_market_price_kg, c.price_per_kg, c.loss_kg, c.sender_units
            );
            DELETE FROM operation_change AS c
            WHERE c.id <> ALL (gone) AND NOT EXISTS (
                SELECT FROM incoming_operation AS i WHERE i.company_id = company AND i.id = c.id
            );
        END IF;

        DELETE FROM operation_key AS k WHERE k.company_id = company AND k.id = ANY (gone);
        INSERT INTO operation_key AS k (company_id, id, occurred_at, check_out_id, payment_method, sender_units)
        SELECT
            company, i.id, i.occurred_at, i.check_out_id, CASE WHEN i.type = 'payment' THEN i.payment_method END,
            i.sender_units
        FROM incoming_operation AS i
        WHERE i.company_id = company
        ON CONFLICT (company_id, id) DO UPDATE SET
            occurred_at = excluded.occurred_at,
            check_out_id = excluded.check_out_id,
            payment_method = excluded.payment_method,
            sender_units = excluded.sender_units;

        -- Check-outs that gain or lose payments change too.
        INSERT INTO operation_change
        SELECT o.*, -1
        FROM (
            SELECT i.check_out_id AS id FROM incoming_operation AS i
            WHERE i.company_id = company AND i.check_out_id IS NOT NULL
            UNION
            SELECT c.check_out_id FROM operation_change AS c WHERE c.check_out_id IS NOT NULL
        ) AS paid
        INNER JOIN operation_key AS k ON k.company_id = company AND k.id = paid.id
        INNER JOIN operation AS o ON o.company_id = company AND o.id = k.id AND o.occurred_at = k.occurred_at
        WHERE o.type = 'check_out'
        AND NOT EXISTS (SELECT FROM incoming_operation AS i WHERE i.company_id = company AND i.id = paid.id);

        INSERT INTO operation_change
        SELECT i.*, 1 FROM incoming_operation AS i WHERE i.company_id = company
        UNION ALL
        SELECT
            c.company_id, c.id, c.occurred_at, c.type, c.cooling_unit_id, c.user_id, c.gender, c.user_type, c.crop,
            c.crates, c.weight_kg, c.amount, c.currency, c.payment_status, c.payment_method, c.check_out_id,
            c.quantity_kg, c.quantity_below_market_price_kg, c.price_per_kg, c.loss_kg, c.is_paid, c.paid_with,
            c.sender_units, 1
        FROM operation_change AS c
        WHERE c.type = 'check_out'
        AND NOT EXISTS (SELECT FROM incoming_operation AS i WHERE i.company_id = company AND i.id = c.id);

        UPDATE operation_change AS c SET
            is_paid = c.payment_status = 'paid' OR EXISTS (
                SELECT FROM operation_key AS k
                WHERE
                    k.company_id = company AND k.check_out_id = c.id AND may_pay(k.sender_units, c.cooling_unit_id)
            ),
            paid_with = coalesce(
                (
                    SELECT k.payment_method FROM operation_key AS k
                    WHERE
                        k.company_id = company AND k.check_out_id = c.id AND may_pay(k.sender_units, c.cooling_unit_id)
                    ORDER BY k.occurred_at DESC, k.id DESC
                    LIMIT 1
                ),
                c.payment_method,
                'UNKNOWN'
            )
        WHERE c.type = 'check_out' AND c.sign = 1 AND c.company_id = company;

        DELETE FROM operation AS o
        USING operation_change AS c
        WHERE c.sign = -1 AND o.company_id = company AND o.id = c.id AND o.occurred_at = c.occurred_at;

        INSERT INTO operation
        SELECT
            c.company_id, c.id, c.occurred_at, c.type, c.cooling_unit_id, c.user_id, c.gender, c.user_type, c.crop,
            c.crates, c.weight_kg, c.amount, c.currency, c.payment_status, c.payment_method, c.check_out_id,
            c.quantity_kg, c.quantity_below_market_price_kg, c.price_per_kg, c.loss_kg, c.is_paid, c.paid_with,
            c.sender_units
        FROM operation_change AS c
        WHERE c.sign = 1 AND c.company_id = company;

        PERFORM apply_operation_change(company);
    END LOOP;
    DELETE FROM incoming_operation;
END
$$;
