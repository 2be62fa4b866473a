-- name: analytics_company
-- What figures depend on besides the operations; today's date is in the company's time zone.
SELECT country, currency, (now() AT TIME ZONE timezone)::date AS today
FROM organization
WHERE company_id = :company_id;

-- name: storage_of_periods
-- Sums for each unit and period (by its index among the starts), from whole buckets, and from days where buckets do not
-- fit. Crates until today are summed separately, because stock is only reported for days that have begun.
SELECT
    r.cooling_unit_id,
    width_bucket(r.bucket, :starts::date []) - 1 AS period_index,
    sum(r.check_ins)::bigint AS check_ins,
    sum(r.check_outs)::bigint AS check_outs,
    sum(r.crates_in)::bigint AS crates_in,
    sum(r.crates_out)::bigint AS crates_out,
    sum(r.kg_in) AS kg_in,
    sum(r.kg_out) AS kg_out,
    coalesce(sum(r.crates_in - r.crates_out) FILTER (WHERE r.bucket <= :today::date), 0)::bigint AS net_until_today,
    coalesce(sum(r.crate_days) FILTER (WHERE r.bucket <= :today::date), 0) AS crate_days_until_today
FROM unnest(:periods::text [], :firsts::date [], :lasts::date []) AS part (period, first, last)
INNER JOIN storage_rollup AS r
    ON r.company_id = :company_id AND r.period = part.period AND r.bucket BETWEEN part.first AND part.last
WHERE r.cooling_unit_id = ANY (:units::integer [])
GROUP BY 1, 2;

-- name: stock_before
-- Everything checked in, minus everything checked out, before a day.
SELECT
    cooling_unit_id,
    sum(crates_in - crates_out)::bigint AS crates,
    sum(kg_in - kg_out) AS kg
FROM storage_rollup
WHERE
    company_id = :company_id AND cooling_unit_id = ANY (:units::integer [])
    AND (
        (period = 'month' AND bucket < :month::date)
        OR (period = 'day' AND bucket >= :month::date AND bucket < :day::date)
    )
GROUP BY cooling_unit_id;

-- name: revenue_of_periods
SELECT
    r.cooling_unit_id,
    width_bucket(r.bucket, :starts::date []) - 1 AS period_index,
    r.currency,
    r.is_paid,
    r.payment_method,
    sum(r.amount) AS amount,
    sum(r.check_outs)::bigint AS check_outs
FROM unnest(:periods::text [], :firsts::date [], :lasts::date []) AS part (period, first, last)
INNER JOIN revenue_rollup AS r
    ON r.company_id = :company_id AND r.period = part.period AND r.bucket BETWEEN part.first AND part.last
WHERE r.cooling_unit_id = ANY (:units::integer []) AND r.check_outs > 0
GROUP BY 1, 2, 3, 4, 5;

-- name: activity_of_units
-- The users who were active on any of the requested days (bits of each year): users (4 bytes each), their groups (3 ×
-- gender + type, 2 bytes each), and their days (50 bytes each, of which the first 4 are a length).
WITH asked AS MATERIALIZED (
    SELECT year, mask::bit(368) AS mask FROM unnest(:years::smallint [], :masks::text []) AS given (year, mask)
)

SELECT
    a.cooling_unit_id,
    a.year,
    string_agg(int4send(a.customer), ''::bytea) AS customers,
    string_agg(
        int2send((
            CASE u.gender WHEN 'female' THEN 0 WHEN 'male' THEN 3 ELSE 6 END
            + CASE u.user_type WHEN 'FARMER' THEN 0 WHEN 'TRADER' THEN 1 ELSE 2 END
        )::smallint),
        ''::bytea
    ) AS groups,
    string_agg(bit_send(a.days), ''::bytea) AS days
FROM asked
INNER JOIN activity AS a
    ON a.company_id = :company_id AND a.year = asked.year AND (a.days & asked.mask) <> B'0'::bit(368)
INNER JOIN customer AS u ON u.number = a.customer
WHERE a.cooling_unit_id = ANY (:units::integer [])
GROUP BY a.cooling_unit_id, a.year;

-- name: registrations_of_units
-- All registrations of each unit: users, days, and the days on which those users were first deactivated (the largest
-- number if never); days since 1970, 4 bytes each.
SELECT
    r.cooling_unit_id,
    string_agg(int4send(r.customer), ''::bytea) AS customers,
    string_agg(int4send(r.day - date '1970-01-01'), ''::bytea) AS days,
    string_agg(int4send(coalesce(g.day - date '1970-01-01', 2147483647)), ''::bytea) AS gone
FROM registration AS r
LEFT JOIN (
    SELECT customer, min(day) AS day FROM deactivation WHERE company_id = :company_id GROUP BY customer
) AS g ON g.customer = r.customer
WHERE r.company_id = :company_id AND r.cooling_unit_id = ANY (:units::integer [])
GROUP BY r.cooling_unit_id;

-- name: impact_of_months
SELECT
    cooling_unit_id,
    month,
    sum(surveys)::bigint AS surveys,
    sum(kg_out) AS kg_out,
    sum(loss_kg) AS loss_kg,
    sum(below_market_share * kg_out) AS baseline_loss_kg,
    sum((mean_price - baseline_price) * (kg_out - loss_kg)) AS income_increase
FROM surveyed_month
WHERE
    company_id = :company_id AND cooling_unit_id = ANY (:units::integer []) AND month BETWEEN :first AND :last
    AND below_market_share IS NOT NULL
GROUP BY cooling_unit_id, month;

-- name: impact_of_days
-- The same for the periods that contain only parts of these months, computed from days.
SELECT
    s.cooling_unit_id,
    width_bucket(d.day, :starts::date []) - 1 AS period_index,
    sum(d.kg_out) AS kg_out,
    sum(d.loss_kg) AS loss_kg,
    sum(s.below_market_share * d.kg_out) AS baseline_loss_kg,
    sum((s.mean_price - s.baseline_price) * (d.kg_out - d.loss_kg)) AS income_increase
FROM surveyed_month AS s
INNER JOIN user_day AS d
    ON
        d.company_id = s.company_id AND d.cooling_unit_id = s.cooling_unit_id AND d.customer = s.customer
        AND d.crop = s.crop AND d.day >= s.month AND d.day < (s.month + interval '1 month')::date
WHERE
    s.company_id = :company_id AND s.cooling_unit_id = ANY (:units::integer []) AND s.month = ANY (:months::date [])
    AND s.below_market_share IS NOT NULL
    AND d.day BETWEEN (:starts::date [])[1] AND :last::date
GROUP BY 1, 2;
