-- name: late_hours
-- How far roll-ups can be trusted, and the hours of these series in which they lack unsettled readings, as of this
-- snapshot.
SELECT
    line.read_line,
    ARRAY(
        SELECT DISTINCT hour
        FROM unsettled_hours(:series_ids::integer [], :start, least(:finish::timestamptz, line.read_line))
    ) AS late_hours
FROM rollup_line AS line;

-- part: hours_in_buckets(window)
SELECT
    m.group_number, width_bucket(h.bucket, :bounds),
    h.sample_count, h.value_sum, h.value_min, h.value_max
FROM reading_hourly AS h
INNER JOIN member AS m USING (series_id)
WHERE
    h.series_id = ANY (:series_ids)
    AND {window}
    AND h.bucket <> ALL (:raw_hours::timestamptz [])

-- name: buckets
-- A page of the buckets that have readings, ordered by bucket and group, and how many there are in all; at least one
-- row. A bucket pools the series of a group: series_ids and groups are parallel lists. Bucket n begins at the n-th of
-- the bounds, counted from 1. tidemark.readings.tiers plans what is read where, with late_hours of the same snapshot, so
-- every unsettled reading with start ≤ ts < finish is in a piece that is read raw.
WITH member AS MATERIALIZED (
    SELECT series_id, group_number
    FROM unnest(:series_ids::integer [], :groups::integer []) AS m (series_id, group_number)
),

part AS (
    SELECT m.group_number, r.bucket_number, r.sample_count, r.value_sum, r.value_min, r.value_max
    FROM (
        SELECT
            coalesce(array_agg(m.series_id), '{}') AS series_ids,
            coalesce(array_agg(p.start), '{}') AS starts,
            coalesce(array_agg(p.finish), '{}') AS finishes
        FROM member AS m
        CROSS JOIN unnest(:raw_starts::timestamptz [], :raw_finishes::timestamptz []) AS p (start, finish)
    ) AS piece
    CROSS JOIN LATERAL sums_of_pieces(
        piece.series_ids, piece.starts, piece.finishes, :bounds::timestamptz [], true
    ) AS r
    INNER JOIN member AS m USING (series_id)
    UNION ALL
    SELECT m.group_number, width_bucket(u.ts, :bounds), 1, u.value, u.value, u.value
    FROM unsettled_readings(:series_ids, :start, :finish) AS u
    INNER JOIN member AS m USING (series_id)
    UNION ALL
    {hours_in_buckets(h.bucket >= :hours_start AND h.bucket < :days_start)}
    UNION ALL
    {hours_in_buckets(h.bucket >= :days_finish AND h.bucket < :hours_finish)}
    UNION ALL
    SELECT
        m.group_number, width_bucket(d.bucket, :bounds),
        d.sample_count, d.value_sum, d.value_min, d.value_max
    FROM reading_daily AS d
    INNER JOIN member AS m USING (series_id)
    WHERE
        d.series_id = ANY (:series_ids)
        AND d.bucket >= :days_start AND d.bucket < :days_finish
        AND d.bucket <> ALL (:open_days::timestamptz [])
    UNION ALL
    SELECT
        m.group_number, width_bucket(h.bucket, :bounds),
        h.sample_count, h.value_sum, h.value_min, h.value_max
    FROM unnest(:open_days) AS day (start)
    CROSS JOIN member AS m
    CROSS JOIN LATERAL (
        SELECT * FROM reading_hourly
        WHERE series_id = m.series_id AND bucket >= day.start AND bucket < day.start + interval '1 day'
    ) AS h
    WHERE h.bucket <> ALL (:raw_hours)
),

pooled AS MATERIALIZED (
    SELECT
        bucket_number,
        group_number,
        sum(sample_count)::bigint AS sample_count,
        sum(value_sum) AS value_sum,
        min(value_min) AS value_min,
        max(value_max) AS value_max
    FROM part
    GROUP BY bucket_number, group_number
    -- In a roll-up, a bucket may be empty.
    HAVING sum(sample_count) > 0
)

SELECT total.total_count, shown.*
FROM (SELECT count(*) AS total_count FROM pooled) AS total
LEFT JOIN (
    SELECT * FROM pooled ORDER BY bucket_number, group_number LIMIT :max_rows OFFSET :skip
) AS shown ON true
ORDER BY shown.bucket_number, shown.group_number;

-- name: pieces_of_series
-- Count, sum, min and max of the readings of each series over a window of its own, in up to two rows: one of the store
-- and one of the log. All of these windows are within start ≤ ts < finish.
SELECT r.series_id, r.sample_count, r.value_sum, r.value_min, r.value_max
FROM sums_of_pieces(:series_ids::integer [], :starts::timestamptz [], :finishes::timestamptz [], '{}', true) AS r
UNION ALL
SELECT u.series_id, count(*), sum(u.value), min(u.value), max(u.value)
FROM unsettled_readings(:series_ids, :start, :finish) AS u
INNER JOIN unnest(:series_ids, :starts, :finishes) AS s (series_id, start, finish) USING (series_id)
WHERE u.ts >= s.start AND u.ts < s.finish
GROUP BY u.series_id;

-- part: first_instant(stored, order)
SELECT s.series_id, r.ts
FROM unnest(:series_ids::integer []) AS s (series_id)
CROSS JOIN LATERAL (
    SELECT ts FROM {stored}(s.series_id, :start, :finish, 1) ORDER BY {order} LIMIT 1
) AS r

-- name: last_instants
-- The instant of each series' last reading in a window, in up to two rows: one of the store and one of the log.
{first_instant(last_stored; ts DESC)}
UNION ALL
SELECT series_id, max(last_at)
FROM unsettled_slices(:series_ids, :start, :finish, false)
GROUP BY series_id;

-- name: first_instants
-- The instant of each series' first reading in a window, in up to two rows: one of the store and one of the log.
{first_instant(first_stored; ts)}
UNION ALL
SELECT series_id, min(first_at)
FROM unsettled_slices(:series_ids, :start, :finish, false)
GROUP BY series_id;

-- name: readings_in_order
-- A page of the readings in a window, by time and, at the same instant, in the order in which the series are given. No
-- series can contribute more than the skipped rows and the page, so each is read no further than that.
SELECT s.series_id, r.ts, r.value
FROM series_with_unsettled(:series_ids::integer [], :start::timestamptz, :finish::timestamptz, false) AS s
CROSS JOIN LATERAL (
    (
        SELECT *
        FROM (
            SELECT ts, value
            FROM first_stored(
                s.series_id, :start, :finish, :skip::bigint + :max_rows::bigint + coalesce(cardinality(s.ts), 0)
            )
            ORDER BY ts
            LIMIT :skip::bigint + :max_rows::bigint + coalesce(cardinality(s.ts), 0)
        ) AS stored
        WHERE {is_not_overridden}
        ORDER BY ts
    )
    UNION ALL
    (
        SELECT unnest(s.ts) AS ts, unnest(s.value) ORDER BY ts
    )
    ORDER BY ts
    LIMIT :skip + :max_rows
) AS r
ORDER BY r.ts, s.place
LIMIT :max_rows OFFSET :skip;
