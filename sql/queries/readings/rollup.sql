-- name: rollup_lines
SELECT mark_line, read_line FROM rollup_line;

-- name: lock_mark_line
-- Waits for every writer that still uses the old line.
SELECT pg_advisory_xact_lock(7463002);

-- name: move_mark_line
UPDATE rollup_line SET mark_line = greatest(mark_line, :line);

-- name: move_read_line
UPDATE rollup_line SET read_line = :line;

-- part: replacing_bucket
ON CONFLICT (series_id, bucket) DO UPDATE SET
    sample_count = excluded.sample_count,
    value_sum = excluded.value_sum,
    value_min = excluded.value_min,
    value_max = excluded.value_max

-- part: late_buckets
-- Recomputes a limited number of marked hours, and their days if those are rolled up. It is one statement, so that one
-- snapshot sees the marks that it deletes and everything that was written with them. Returns how many marks it deleted.
WITH marks AS MATERIALIZED (
    SELECT ctid AS mark, series_id, hour FROM late_mark LIMIT :max_rows
),

hours AS MATERIALIZED (
    SELECT DISTINCT series_id, hour FROM marks
),

days AS MATERIALIZED (
    SELECT DISTINCT series_id, date_bin('1 day', hour, 'epoch') AS day
    FROM hours
    WHERE date_bin('1 day', hour, 'epoch') + interval '1 day' <= (SELECT read_line FROM rollup_line)
),

fresh AS MATERIALIZED (
    SELECT
        h.series_id,
        h.hour AS bucket,
        coalesce(r.sample_count, 0) AS sample_count,
        coalesce(r.value_sum, 0) AS value_sum,
        r.value_min,
        r.value_max
    FROM hours AS h
    LEFT JOIN (
        SELECT piece.*
        FROM (
            SELECT
                coalesce(array_agg(series_id), '{}') AS series_ids,
                coalesce(array_agg(hour), '{}') AS starts,
                coalesce(array_agg(hour + interval '1 hour'), '{}') AS finishes
            FROM hours
        ) AS l
        CROSS JOIN LATERAL sums_of_pieces(l.series_ids, l.starts, l.finishes, '{}', false) AS piece
    ) AS r ON r.series_id = h.series_id AND r.start = h.hour
),

day_parts AS (
    SELECT d.series_id, d.day, f.sample_count, f.value_sum, f.value_min, f.value_max
    FROM days AS d
    INNER JOIN fresh AS f ON f.series_id = d.series_id AND date_bin('1 day', f.bucket, 'epoch') = d.day
    UNION ALL
    SELECT d.series_id, d.day, h.sample_count, h.value_sum, h.value_min, h.value_max
    FROM days AS d
    CROSS JOIN LATERAL (
        SELECT * FROM reading_hourly
        WHERE series_id = d.series_id AND bucket >= d.day AND bucket < d.day + interval '1 day'
    ) AS h
    WHERE NOT EXISTS (SELECT FROM hours WHERE hours.series_id = h.series_id AND hours.hour = h.bucket)
)

-- part: day_sums
SELECT series_id, day, sum(sample_count), sum(value_sum), min(value_min), max(value_max)
FROM day_parts
GROUP BY series_id, day

-- part: settled_marks
settled AS (
    DELETE FROM late_mark WHERE ctid = ANY (ARRAY(SELECT mark FROM marks))
)

SELECT count(*) FROM marks
