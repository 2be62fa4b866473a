-- The maintenance job on TimescaleDB: continuous aggregates, refreshed by force where the line moves, and repaired
-- buckets beside them that a later refresh absorbs.

-- name: roll_up_hours
CALL refresh_continuous_aggregate('reading_hourly_aggregate', :start::timestamptz, :finish::timestamptz, force => true);

-- name: roll_up_days
CALL refresh_continuous_aggregate('reading_daily_aggregate', :start::timestamptz, :finish::timestamptz, force => true);

-- name: settle_repaired_days
-- The daily aggregate does not see repaired hours; the days that have some are computed from the hours as readers see
-- them.
INSERT INTO reading_daily_repair (series_id, bucket, sample_count, value_sum, value_min, value_max)
SELECT h.series_id, d.day, sum(h.sample_count), sum(h.value_sum), min(h.value_min), max(h.value_max)
FROM (
    SELECT DISTINCT series_id, date_bin('1 day', bucket, 'epoch') AS day
    FROM reading_hourly_repair
    WHERE bucket >= :start AND bucket < :finish
) AS d
INNER JOIN reading_hourly AS h
    ON h.series_id = d.series_id AND h.bucket >= d.day AND h.bucket < d.day + interval '1 day'
WHERE h.bucket >= :start AND h.bucket < :finish
GROUP BY h.series_id, d.day
ON CONFLICT (series_id, bucket) DO UPDATE SET
    sample_count = excluded.sample_count,
    value_sum = excluded.value_sum,
    value_min = excluded.value_min,
    value_max = excluded.value_max,
    repaired_at = excluded.repaired_at;

-- name: repair_late_hours
-- Recomputes at most so many marked hours, and their days where those are rolled up, in one statement: its one snapshot
-- sees the marks that it deletes together with everything that was written with them. Answers how many marks it took.
WITH marks AS MATERIALIZED (
    SELECT ctid AS mark, series_id, hour FROM late_mark LIMIT :most
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
        CROSS JOIN LATERAL sums_of_pieces(l.series_ids, l.starts, l.finishes, '{}') AS piece
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
),

repaired_hours AS (
    INSERT INTO reading_hourly_repair (series_id, bucket, sample_count, value_sum, value_min, value_max)
    SELECT series_id, bucket, sample_count, value_sum, value_min, value_max FROM fresh
    ON CONFLICT (series_id, bucket) DO UPDATE SET
        sample_count = excluded.sample_count,
        value_sum = excluded.value_sum,
        value_min = excluded.value_min,
        value_max = excluded.value_max,
        repaired_at = excluded.repaired_at
),

repaired_days AS (
    INSERT INTO reading_daily_repair (series_id, bucket, sample_count, value_sum, value_min, value_max)
    SELECT series_id, day, sum(sample_count), sum(value_sum), min(value_min), max(value_max)
    FROM day_parts
    GROUP BY series_id, day
    ON CONFLICT (series_id, bucket) DO UPDATE SET
        sample_count = excluded.sample_count,
        value_sum = excluded.value_sum,
        value_min = excluded.value_min,
        value_max = excluded.value_max,
        repaired_at = excluded.repaired_at
),

settled AS (
    DELETE FROM late_mark WHERE ctid = ANY (ARRAY(SELECT mark FROM marks))
)

SELECT count(*) FROM marks;

-- name: absorbable_window
-- The first day of the week with the most repaired hours, where there are many or they have stood for long. Weeks begin
-- as the table's chunks do, on Thursday, so that a refresh reads one chunk.
SELECT date_bin('7 days', bucket, 'epoch') AS start
FROM reading_hourly_repair
WHERE bucket < (SELECT date_bin('7 days', read_line, 'epoch') FROM rollup_line)
GROUP BY date_bin('7 days', bucket, 'epoch')
HAVING count(*) >= 10000 OR min(repaired_at) < now() - interval '15 minutes'
ORDER BY count(*) DESC
LIMIT 1;

-- name: forget_absorbed
-- Only what a refresh has taken in since; the job runs alone, so nothing was repaired meanwhile.
WITH hours AS (
    DELETE FROM reading_hourly_repair WHERE bucket >= :start AND bucket < :finish
)

DELETE FROM reading_daily_repair WHERE bucket >= :start AND bucket < :finish;
