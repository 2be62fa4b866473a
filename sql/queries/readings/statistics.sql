-- part: unsettled_slices_of_window(columns)
unsettled AS MATERIALIZED (
    SELECT series_id, first_at, last_at, {columns}
    FROM unsettled_slices(:series_ids::integer [], :start::timestamptz, :finish::timestamptz, false)
)

-- part: unsettled_sums
SELECT u.series_id, v.sample_count, v.value_sum, v.value_min, v.value_max
FROM unsettled AS u
CROSS JOIN LATERAL (
    SELECT count(*) AS sample_count, sum(one) AS value_sum, min(one) AS value_min, max(one) AS value_max
    FROM unnest(u.value) AS one
) AS v

-- part: raw_edges
-- The stored readings before the first hour and after the last hour that are read from roll-ups.
SELECT series_id, ts, value FROM stored_values(:series_ids, :start, :hours_start)
UNION ALL
SELECT series_id, ts, value FROM stored_values(:series_ids, :hours_finish, :finish)

-- name: statistics
-- Count, sum, min and max of each series over start ≤ ts < finish, in one snapshot: unsettled readings, stored ones at the
-- ragged edges, and hours and days from the roll-ups in between. Returns the read line too: the bounds are valid for every
-- line at or after hours_finish. If is_exact is false, unsettled readings may override some of that,
-- and exact_statistics has the answer. That one takes several times as long to plan, and is seldom needed: most unsettled
-- readings are newer than everything stored of their series.
WITH {unsettled_slices_of_window(value)},

edge AS MATERIALIZED (
    SELECT
        series_id,
        count(*) AS sample_count,
        sum(value) AS value_sum,
        min(value) AS value_min,
        max(value) AS value_max,
        max(ts) AS last_at
    FROM (
        {raw_edges}
    ) AS raw
    GROUP BY series_id
),

parts AS (
    SELECT
        series_id,
        0::bigint AS sample_count,
        null::double precision AS value_sum,
        null::double precision AS value_min,
        null::double precision AS value_max
    FROM unnest(:series_ids) AS series_id
    UNION ALL
    {unsettled_sums}
    UNION ALL
    SELECT series_id, sample_count, value_sum, value_min, value_max FROM edge
    UNION ALL
    SELECT series_id, sample_count, value_sum, value_min, value_max
    FROM reading_daily
    WHERE series_id = ANY (:series_ids) AND bucket >= :days_start AND bucket < :days_finish
    UNION ALL
    SELECT series_id, sample_count, value_sum, value_min, value_max
    FROM reading_hourly
    WHERE series_id = ANY (:series_ids) AND bucket >= :hours_start AND bucket < :days_start
    UNION ALL
    SELECT series_id, sample_count, value_sum, value_min, value_max
    FROM reading_hourly
    WHERE series_id = ANY (:series_ids) AND bucket >= :days_finish AND bucket < :hours_finish
)

SELECT
    series_id,
    sum(sample_count)::bigint AS sample_count,
    sum(value_sum) AS value_sum,
    min(value_min) AS value_min,
    max(value_max) AS value_max,
    (SELECT read_line FROM rollup_line) AS read_line,
    NOT EXISTS (
        SELECT FROM unsettled WHERE first_at < :hours_finish AND last_at >= :hours_start
    ) AND NOT EXISTS (
        SELECT FROM unsettled AS u INNER JOIN edge AS e USING (series_id) WHERE u.first_at <= e.last_at
    ) AS is_exact
FROM parts
GROUP BY series_id;

-- name: exact_statistics
-- Count, sum, min and max of each series over start ≤ ts < finish, in one snapshot: unsettled readings, stored ones at the
-- ragged edges that are not overridden by them, hours and days from the roll-ups in between, and stored readings again
-- for hours that have unsettled readings. Returns the read line too: the bounds are valid for every line at or after
-- hours_finish.
WITH {unsettled_slices_of_window(at, value)},

unsettled_bounds AS MATERIALIZED (
    SELECT coalesce(min(first_at), 'infinity') AS first_at, coalesce(max(last_at), '-infinity') AS last_at
    FROM unsettled
),

late_hours AS MATERIALIZED (
    SELECT series_id, hour FROM unsettled_hours(:series_ids, :hours_start, :hours_finish)
),

late_days AS MATERIALIZED (
    SELECT DISTINCT series_id, date_bin('1 day', hour, 'epoch') AS day
    FROM late_hours
    WHERE hour >= :days_start AND hour < :days_finish
),

parts AS (
    {unsettled_sums}
    UNION ALL
    SELECT series_id, count(*) AS sample_count, sum(value) AS value_sum, min(value) AS value_min, max(value) AS value_max
    FROM (
        {raw_edges}
        OFFSET 0
    ) AS raw
    WHERE
        ts < (SELECT first_at FROM unsettled_bounds) OR ts > (SELECT last_at FROM unsettled_bounds)
        OR (series_id, ts) NOT IN (SELECT u.series_id, instant_of(unnest(u.at)) FROM unsettled AS u)
    GROUP BY series_id
    UNION ALL
    SELECT series_id, sample_count, value_sum, value_min, value_max
    FROM reading_daily AS d
    WHERE
        series_id = ANY (:series_ids) AND bucket >= :days_start AND bucket < :days_finish
        AND NOT EXISTS (SELECT FROM late_days AS l WHERE l.series_id = d.series_id AND l.day = d.bucket)
    UNION ALL
    SELECT series_id, sample_count, value_sum, value_min, value_max
    FROM reading_hourly AS h
    WHERE
        series_id = ANY (:series_ids)
        AND bucket >= :hours_start AND bucket < :days_start
        AND NOT EXISTS (SELECT FROM late_hours AS l WHERE l.series_id = h.series_id AND l.hour = h.bucket)
    UNION ALL
    SELECT series_id, sample_count, value_sum, value_min, value_max
    FROM reading_hourly AS h
    WHERE
        series_id = ANY (:series_ids)
        AND bucket >= :days_finish AND bucket < :hours_finish
        AND NOT EXISTS (SELECT FROM late_hours AS l WHERE l.series_id = h.series_id AND l.hour = h.bucket)
    UNION ALL
    SELECT h.series_id, h.sample_count, h.value_sum, h.value_min, h.value_max
    FROM late_days AS d
    CROSS JOIN LATERAL (
        SELECT * FROM reading_hourly
        WHERE series_id = d.series_id AND bucket >= d.day AND bucket < d.day + interval '1 day'
    ) AS h
    WHERE NOT EXISTS (SELECT FROM late_hours AS l WHERE l.series_id = h.series_id AND l.hour = h.bucket)
    UNION ALL
    SELECT r.series_id, r.sample_count, r.value_sum, r.value_min, r.value_max
    FROM (
        SELECT
            coalesce(array_agg(series_id), '{}') AS series_ids,
            coalesce(array_agg(hour), '{}') AS starts,
            coalesce(array_agg(hour + interval '1 hour'), '{}') AS finishes
        FROM late_hours
    ) AS l
    CROSS JOIN LATERAL sums_of_pieces(l.series_ids, l.starts, l.finishes, '{}', true) AS r
)

SELECT
    requested.series_id,
    coalesce(total.sample_count, 0)::bigint AS sample_count,
    total.value_sum,
    total.value_min,
    total.value_max,
    (SELECT read_line FROM rollup_line) AS read_line
FROM unnest(:series_ids) AS requested (series_id)
LEFT JOIN (
    SELECT
        series_id,
        sum(sample_count) AS sample_count,
        sum(value_sum) AS value_sum,
        min(value_min) AS value_min,
        max(value_max) AS value_max
    FROM parts
    GROUP BY series_id
) AS total USING (series_id);
