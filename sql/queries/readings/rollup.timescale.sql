-- The maintenance job on TimescaleDB: continuous aggregates, for which a refresh is forced when the line moves, and
-- separate tables of repaired buckets, which a later refresh absorbs.

-- name: roll_up_hours
CALL refresh_continuous_aggregate('reading_hourly_aggregate', :start::timestamptz, :finish::timestamptz, force => true);

-- name: roll_up_days
CALL refresh_continuous_aggregate('reading_daily_aggregate', :start::timestamptz, :finish::timestamptz, force => true);

-- name: settle_repaired_days
-- The daily aggregate does not see repaired hours; days that have any are computed from the hours as readers see them.
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
{replacing_bucket}, repaired_at = excluded.repaired_at;

-- name: write_hours
INSERT INTO reading_hourly_repair (series_id, bucket, sample_count, value_sum, value_min, value_max)
{hours_given}
{replacing_bucket}, repaired_at = excluded.repaired_at;

-- name: write_days
INSERT INTO reading_daily_repair (series_id, bucket, sample_count, value_sum, value_min, value_max)
{days_of_hours}
{replacing_bucket}, repaired_at = excluded.repaired_at;

-- name: absorbable_window
-- The first day of the week with the most repaired hours, if there are many of them or they are old. Weeks begin on
-- Thursday, and four of them are a chunk of the table, so that a refresh reads one chunk.
SELECT date_bin('7 days', bucket, 'epoch') AS start
FROM reading_hourly_repair
WHERE bucket < (SELECT date_bin('7 days', read_line, 'epoch') FROM rollup_line)
GROUP BY date_bin('7 days', bucket, 'epoch')
HAVING count(*) >= 10000 OR min(repaired_at) < now() - interval '15 minutes'
ORDER BY count(*) DESC
LIMIT 1;

-- name: forget_absorbed
-- Only what a refresh has absorbed: there is only one maintenance job, so nothing was repaired in the meantime.
WITH hours AS (
    DELETE FROM reading_hourly_repair WHERE bucket >= :start AND bucket < :finish
)

DELETE FROM reading_daily_repair WHERE bucket >= :start AND bucket < :finish;
