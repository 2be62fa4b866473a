-- The maintenance job on plain PostgreSQL: roll-ups are tables that are recomputed in place.

-- name: roll_up_hours
-- An attempt that was broken off may have left hours from which everything has been deleted since: they become empty.
INSERT INTO reading_hourly AS h (series_id, bucket, sample_count, value_sum, value_min, value_max)
SELECT series_id, date_bin('1 hour', ts, 'epoch'), count(*), sum(value), min(value), max(value)
FROM (
    -- As stored_values, but of all series.
    SELECT g.series_id, u.ts, u.value
    FROM (SELECT * FROM segments_in(:start::timestamptz, :finish::timestamptz) OFFSET 0) AS g
    CROSS JOIN LATERAL unpacked(g.first_at, g.step, g.first, g.last, g.at, g.value) AS u
    UNION ALL
    SELECT series_id, ts, value FROM unpacked_reading WHERE ts >= :start AND ts < :finish
) AS r
WHERE ts >= :start AND ts < :finish
GROUP BY series_id, date_bin('1 hour', ts, 'epoch')
UNION ALL
SELECT series_id, bucket, 0, 0, null, null
FROM reading_hourly AS o
WHERE
    bucket >= :start AND bucket < :finish
    AND NOT EXISTS (SELECT FROM first_stored(o.series_id, o.bucket, o.bucket + interval '1 hour', 1))
{replacing_bucket};

-- name: roll_up_days
INSERT INTO reading_daily AS d (series_id, bucket, sample_count, value_sum, value_min, value_max)
SELECT series_id, date_bin('1 day', bucket, 'epoch'), sum(sample_count), sum(value_sum), min(value_min), max(value_max)
FROM reading_hourly
WHERE bucket >= :start AND bucket < :finish
GROUP BY series_id, date_bin('1 day', bucket, 'epoch')
{replacing_bucket};

-- name: settle_repaired_days
-- Nothing to do: days are rolled up from hours that already include every repair.
SELECT :start::timestamptz, :finish::timestamptz;

-- name: write_hours
INSERT INTO reading_hourly (series_id, bucket, sample_count, value_sum, value_min, value_max)
{hours_given}
{replacing_bucket};

-- name: write_days
INSERT INTO reading_daily (series_id, bucket, sample_count, value_sum, value_min, value_max)
{days_of_hours}
{replacing_bucket};

-- name: absorbable_window
-- Nothing to absorb: repairs are in the roll-ups themselves.
SELECT null::timestamptz AS start WHERE false;

-- name: forget_absorbed
SELECT :start::timestamptz, :finish::timestamptz;
