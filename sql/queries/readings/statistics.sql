-- part: raw_edges
-- The readings before the first hour and after the last hour that are read from roll-ups.
SELECT series_id, count(*) AS sample_count, sum(value) AS value_sum, min(value) AS value_min, max(value) AS value_max
FROM reading
WHERE series_id = ANY (:series_ids) AND ts >= :start AND ts < :hours_start
GROUP BY series_id
UNION ALL
SELECT series_id, count(*), sum(value), min(value), max(value)
FROM reading
WHERE series_id = ANY (:series_ids) AND ts >= :hours_finish AND ts < :finish
GROUP BY series_id

-- name: statistics
-- Count, sum, min and max of each series over start ≤ ts < finish, in one snapshot: raw rows at the ragged edges, with
-- hours and days from the roll-ups in between. Returns the read line too: the bounds are valid for every line at or
-- after hours_finish. If has_late_hours is true, the roll-ups cannot be trusted, and statistics_with_late_hours has the
-- answer. That one takes several times as long to plan; late hours are few and exist for about a second.
WITH parts AS (
    SELECT
        series_id,
        0::bigint AS sample_count,
        null::double precision AS value_sum,
        null::double precision AS value_min,
        null::double precision AS value_max
    FROM unnest(:series_ids::integer []) AS series_id
    UNION ALL
    {raw_edges}
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
    EXISTS (
        SELECT FROM late_mark
        WHERE series_id = ANY (:series_ids) AND hour >= :hours_start AND hour < :hours_finish
    ) AS has_late_hours
FROM parts
GROUP BY series_id;

-- name: statistics_with_late_hours
-- Count, sum, min and max of each series over start ≤ ts < finish, in one snapshot: raw rows at the ragged edges, hours
-- and days from the roll-ups in between, and raw rows again for hours that changed after they were rolled up. Returns
-- the read line too: the bounds are valid for every line at or after hours_finish.
WITH late_hours AS MATERIALIZED (
    SELECT DISTINCT series_id, hour
    FROM late_mark
    WHERE series_id = ANY (:series_ids::integer []) AND hour >= :hours_start AND hour < :hours_finish
),

late_days AS MATERIALIZED (
    SELECT DISTINCT series_id, date_bin('1 day', hour, 'epoch') AS day
    FROM late_hours
    WHERE hour >= :days_start AND hour < :days_finish
),

parts AS (
    {raw_edges}
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
    CROSS JOIN LATERAL sums_of_pieces(l.series_ids, l.starts, l.finishes, '{}') AS r
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
