-- The maintenance job on plain PostgreSQL: roll-ups are tables that are recomputed in place.

-- name: roll_up_hours
-- An attempt that was broken off may have left hours from which everything has been deleted since: they become empty.
INSERT INTO reading_hourly AS h (series_id, bucket, sample_count, value_sum, value_min, value_max)
SELECT series_id, date_bin('1 hour', ts, 'epoch'), count(*), sum(value), min(value), max(value)
FROM (
    -- As stored_values does, but for all series.
    SELECT
        p.series_id, coalesce(p.at, p.first_at + (p.number - 1) * p.step * interval '1 microsecond') AS ts, p.value
    FROM (
        SELECT
            g.series_id, g.first_at, g.step,
            generate_series(g.first, g.last) AS number, unnest(g.at[g.first:g.last]) AS at,
            unnest(g.value[g.first:g.last]) AS value
        FROM (
            SELECT
                s.*,
                CASE
                    WHEN s.first_at < :start THEN segment_position(:start, s.first_at, s.step, s.at)
                    ELSE 1
                END AS first,
                CASE
                    WHEN s.last_at < :finish THEN s.readings
                    ELSE least(segment_position(:finish, s.first_at, s.step, s.at) + 1, s.readings)
                END AS last
            FROM segment AS s
            WHERE
                s.first_at >= month_of(:start::timestamptz) AND s.first_at < :finish::timestamptz
                AND s.last_at >= :start
            OFFSET 0
        ) AS g
    ) AS p
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
