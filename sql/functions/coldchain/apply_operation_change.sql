-- Applies operation_change to everything that is derived from a company's operations, and empties it. The company must
-- be locked.
CREATE OR REPLACE FUNCTION apply_operation_change(company integer) RETURNS void LANGUAGE plpgsql
SET plan_cache_mode = force_custom_plan SET jit = off
AS $$
DECLARE
    zone text;
    own_currency text;
BEGIN
    SELECT timezone, currency INTO STRICT zone, own_currency FROM organization WHERE company_id = company;

    INSERT INTO customer (company_id, user_id)
    SELECT DISTINCT company, c.user_id
    FROM operation_change AS c
    WHERE c.user_id IS NOT NULL AND NOT EXISTS (
        SELECT FROM customer AS u WHERE u.company_id = company AND u.user_id = c.user_id
    );

    UPDATE operation_change AS c SET
        day = (c.occurred_at AT TIME ZONE zone)::date,
        customer = (SELECT u.number FROM customer AS u WHERE u.company_id = company AND u.user_id = c.user_id);

    INSERT INTO storage_rollup AS r
    SELECT
        company, b.period, c.cooling_unit_id, b.bucket,
        coalesce(sum(c.sign) FILTER (WHERE c.type = 'check_in'), 0),
        coalesce(sum(c.sign) FILTER (WHERE c.type = 'check_out'), 0),
        coalesce(sum(c.sign * c.crates::bigint) FILTER (WHERE c.type = 'check_in'), 0),
        coalesce(sum(c.sign * c.crates::bigint) FILTER (WHERE c.type = 'check_out'), 0),
        coalesce(sum(c.sign * c.weight_kg) FILTER (WHERE c.type = 'check_in'), 0),
        coalesce(sum(c.sign * c.weight_kg) FILTER (WHERE c.type = 'check_out'), 0),
        sum(
            c.sign * CASE c.type WHEN 'check_in' THEN 1 ELSE -1 END * c.crates::bigint * (c.day - date '1970-01-01')
        )
    FROM operation_change AS c
    CROSS JOIN LATERAL buckets_of(c.day) AS b
    WHERE c.type IN ('check_in', 'check_out')
    GROUP BY b.period, c.cooling_unit_id, b.bucket
    ON CONFLICT (company_id, period, cooling_unit_id, bucket) DO UPDATE SET
        check_ins = r.check_ins + excluded.check_ins,
        check_outs = r.check_outs + excluded.check_outs,
        crates_in = r.crates_in + excluded.crates_in,
        crates_out = r.crates_out + excluded.crates_out,
        kg_in = r.kg_in + excluded.kg_in,
        kg_out = r.kg_out + excluded.kg_out,
        crate_days = r.crate_days + excluded.crate_days;

    INSERT INTO revenue_rollup AS r
    SELECT
        company, b.period, c.cooling_unit_id, b.bucket, c.currency, c.is_paid, c.paid_with,
        sum(c.sign * c.amount), sum(c.sign)
    FROM operation_change AS c
    CROSS JOIN LATERAL buckets_of(c.day) AS b
    WHERE c.type = 'check_out'
    GROUP BY b.period, c.cooling_unit_id, b.bucket, c.currency, c.is_paid, c.paid_with
    ON CONFLICT (company_id, period, cooling_unit_id, bucket, currency, is_paid, payment_method) DO UPDATE SET
        amount = r.amount + excluded.amount,
        check_outs = r.check_outs + excluded.check_outs;

    INSERT INTO user_day AS d
    SELECT
        company, c.cooling_unit_id, c.customer, c.day, c.crop,
        coalesce(sum(c.sign) FILTER (WHERE c.type IN ('check_in', 'check_out')), 0),
        coalesce(sum(c.sign * c.weight_kg) FILTER (WHERE c.type = 'check_out'), 0),
        coalesce(sum(c.sign) FILTER (WHERE c.type = 'market_survey'), 0),
        coalesce(sum(c.sign * c.price_per_kg) FILTER (WHERE c.type = 'market_survey'), 0),
        coalesce(sum(c.sign * c.loss_kg) FILTER (WHERE c.type = 'market_survey'), 0)
    FROM operation_change AS c
    WHERE c.type IN ('check_in', 'check_out') OR (c.type = 'market_survey' AND c.currency = own_currency)
    GROUP BY c.cooling_unit_id, c.customer, c.day, c.crop
    ON CONFLICT (company_id, cooling_unit_id, customer, day, crop) DO UPDATE SET
        movements = d.movements + excluded.movements,
        kg_out = d.kg_out + excluded.kg_out,
        surveys = d.surveys + excluded.surveys,
        price_sum = d.price_sum + excluded.price_sum,
        loss_kg = d.loss_kg + excluded.loss_kg;

    WITH touched AS (
        SELECT
            c.cooling_unit_id, c.customer, extract(year FROM c.day)::smallint AS year,
            set_bit(repeat('0', 368)::bit(368), extract(doy FROM c.day)::integer - 1, 1) AS bit,
            EXISTS (
                SELECT FROM user_day AS d
                WHERE
                    d.company_id = company AND d.cooling_unit_id = c.cooling_unit_id AND d.customer = c.customer
                    AND d.day = c.day AND d.movements > 0
            ) AS active
        FROM operation_change AS c
        WHERE c.type IN ('check_in', 'check_out')
        GROUP BY c.cooling_unit_id, c.customer, c.day
    ),

    masks AS (
        SELECT
            t.cooling_unit_id, t.year, t.customer,
            coalesce(bit_or(t.bit) FILTER (WHERE t.active), repeat('0', 368)::bit(368)) AS active,
            coalesce(bit_or(t.bit) FILTER (WHERE NOT t.active), repeat('0', 368)::bit(368)) AS idle
        FROM touched AS t
        GROUP BY t.cooling_unit_id, t.year, t.customer
    )

    INSERT INTO activity AS a
    SELECT company, m.cooling_unit_id, m.year, m.customer, (coalesce(s.days, m.active) | m.active) & ~m.idle
    FROM masks AS m
    LEFT JOIN activity AS s
        ON
            s.company_id = company AND s.cooling_unit_id = m.cooling_unit_id AND s.year = m.year
            AND s.customer = m.customer
    WHERE s.days IS NULL OR s.days <> ((s.days | m.active) & ~m.idle)
    ON CONFLICT (company_id, cooling_unit_id, year, customer) DO UPDATE SET days = excluded.days;

    DELETE FROM registration AS r
    USING operation_change AS c
    WHERE c.type = 'user_registered' AND c.sign = -1 AND r.company_id = company AND r.id = c.id;
    INSERT INTO registration
    SELECT company, c.id, c.cooling_unit_id, c.customer, c.day, c.occurred_at, c.gender, c.user_type
    FROM operation_change AS c
    WHERE c.type = 'user_registered' AND c.sign = 1 AND c.company_id = company;

    DELETE FROM deactivation AS d
    USING operation_change AS c
    WHERE c.type = 'user_deactivated' AND c.sign = -1 AND d.company_id = company AND d.id = c.id;
    INSERT INTO deactivation
    SELECT company, c.id, c.customer, c.day
    FROM operation_change AS c
    WHERE c.type = 'user_deactivated' AND c.sign = 1 AND c.company_id = company;

    UPDATE customer AS u SET
        (gender, user_type) = (
            SELECT r.gender, r.user_type FROM registration AS r
            WHERE r.customer = u.number
            ORDER BY r.occurred_at DESC, r.id DESC
            LIMIT 1
        )
    WHERE u.company_id = company AND u.number IN (
        SELECT c.customer FROM operation_change AS c WHERE c.type = 'user_registered'
    );

    DELETE FROM baseline AS b
    USING operation_change AS c
    WHERE c.type = 'baseline_survey' AND c.sign = -1 AND b.company_id = company AND b.id = c.id;
    INSERT INTO baseline
    SELECT
        company, c.id, c.cooling_unit_id, c.customer, c.crop, c.day, c.occurred_at,
        div(c.quantity_below_market_price_kg * 1e18, c.quantity_kg) * 1e-18, c.price_per_kg
    FROM operation_change AS c
    WHERE c.type = 'baseline_survey' AND c.sign = 1 AND c.currency = own_currency;

    WITH touched AS (
        SELECT c.cooling_unit_id, date_trunc('month', c.day::timestamp)::date AS month, c.customer, c.crop
        FROM operation_change AS c
        WHERE c.type IN ('check_out', 'market_survey')
        UNION
        SELECT s.cooling_unit_id, s.month, s.customer, s.crop
        FROM operation_change AS c
        INNER JOIN surveyed_month AS s
            ON
                s.company_id = company AND s.cooling_unit_id = c.cooling_unit_id AND s.customer = c.customer
                AND s.crop = c.crop
        WHERE c.type = 'baseline_survey'
    ),

    counted AS (
        SELECT
            t.cooling_unit_id, t.month, t.customer, t.crop,
            coalesce(sum(d.kg_out), 0) AS kg_out, coalesce(sum(d.loss_kg), 0) AS loss_kg,
            coalesce(sum(d.surveys), 0)::bigint AS surveys, sum(d.price_sum) AS price_sum
        FROM touched AS t
        LEFT JOIN user_day AS d
            ON
                d.company_id = company AND d.cooling_unit_id = t.cooling_unit_id AND d.customer = t.customer
                AND d.crop = t.crop AND d.day >= t.month AND d.day < (t.month + interval '1 month')::date
        GROUP BY t.cooling_unit_id, t.month, t.customer, t.crop
    ),

    unsurveyed AS (
        DELETE FROM surveyed_month AS s
        USING counted AS t
        WHERE
            t.surveys = 0 AND s.company_id = company AND s.cooling_unit_id = t.cooling_unit_id AND s.month = t.month
            AND s.customer = t.customer AND s.crop = t.crop
    )

    INSERT INTO surveyed_month
    SELECT
        company, t.cooling_unit_id, t.month, t.customer, t.crop, t.kg_out, t.loss_kg, t.surveys,
        div(t.price_sum * 1e18, t.surveys) * 1e-18, latest.below_market_share, latest.price_per_kg
    FROM counted AS t
    LEFT JOIN LATERAL (
        SELECT b.below_market_share, b.price_per_kg
        FROM baseline AS b
        WHERE
            b.company_id = company AND b.cooling_unit_id = t.cooling_unit_id AND b.customer = t.customer
            AND b.crop = t.crop AND b.day < (t.month + interval '1 month')::date
        ORDER BY b.occurred_at DESC, b.id DESC
        LIMIT 1
    ) AS latest ON true
    WHERE t.surveys > 0
    ON CONFLICT (company_id, cooling_unit_id, month, customer, crop) DO UPDATE SET
        kg_out = excluded.kg_out,
        loss_kg = excluded.loss_kg,
        surveys = excluded.surveys,
        mean_price = excluded.mean_price,
        below_market_share = excluded.below_market_share,
        baseline_price = excluded.baseline_price;

    DELETE FROM operation_change;
END
$$;
