-- name: late_hours
-- How far roll-ups are to be trusted, and the hours of these series that they lag behind, as of this snapshot.
SELECT
    read_line,
    ARRAY(
        SELECT DISTINCT hour
        FROM late_mark
        WHERE series_id = ANY (:series_ids::integer []) AND hour >= :start AND hour < :finish
    ) AS late_hours
FROM rollup_line;

-- name: buckets
-- Some of the buckets that hold readings, ordered by bucket and group, and how many there are in all; at least one row.
-- A bucket pools the series of one group: series_ids and groups go together. Bucket n begins at the n-th of the bounds,
-- counted from 1. What is read where is planned in tidemark.readings.tiers, with late_hours of the same snapshot.
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
        piece.series_ids, piece.starts, piece.finishes, :bounds::timestamptz []
    ) AS r
    INNER JOIN member AS m USING (series_id)
    UNION ALL
    SELECT
        m.group_number, width_bucket(h.bucket, :bounds),
        h.sample_count, h.value_sum, h.value_min, h.value_max
    FROM reading_hourly AS h
    INNER JOIN member AS m USING (series_id)
    WHERE
        h.series_id = ANY (:series_ids)
        AND h.bucket >= :hours_start AND h.bucket < :days_start
        AND h.bucket <> ALL (:raw_hours::timestamptz [])
    UNION ALL
    SELECT
        m.group_number, width_bucket(h.bucket, :bounds),
        h.sample_count, h.value_sum, h.value_min, h.value_max
    FROM reading_hourly AS h
    INNER JOIN member AS m USING (series_id)
    WHERE
        h.series_id = ANY (:series_ids)
        AND h.bucket >= :days_finish AND h.bucket < :hours_finish
        AND h.bucket <> ALL (:raw_hours)
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
    -- A roll-up may say of a bucket that it is empty now.
    HAVING sum(sample_count) > 0
)

SELECT total.total_count, shown.*
FROM (SELECT count(*) AS total_count FROM pooled) AS total
LEFT JOIN (
    SELECT * FROM pooled ORDER BY bucket_number, group_number LIMIT :most OFFSET :skip
) AS shown ON true
ORDER BY shown.bucket_number, shown.group_number;

-- name: pieces_of_series
-- Count, sum, min and max of the raw readings of each series over a stretch of its own; the stretches lie in
-- start ≤ ts < finish.
SELECT s.series_id, r.sample_count, r.value_sum, r.value_min, r.value_max
FROM unnest(:series_ids::integer [], :starts::timestamptz [], :finishes::timestamptz []) AS s (series_id, start, finish)
CROSS JOIN LATERAL (
    SELECT count(*) AS sample_count, sum(value) AS value_sum, min(value) AS value_min, max(value) AS value_max
    FROM reading
    WHERE series_id = s.series_id AND ts >= s.start AND ts < s.finish AND ts >= :start AND ts < :finish
) AS r;

-- name: last_instants
-- When each series has its last reading of a window.
SELECT s.series_id, r.ts
FROM unnest(:series_ids::integer []) AS s (series_id)
CROSS JOIN LATERAL (
    SELECT ts FROM reading
    WHERE series_id = s.series_id AND ts >= :start AND ts < :finish
    ORDER BY ts DESC
    LIMIT 1
) AS r;

-- name: first_instants
-- When each series has its first reading of a window.
SELECT s.series_id, r.ts
FROM unnest(:series_ids::integer []) AS s (series_id)
CROSS JOIN LATERAL (
    SELECT ts FROM reading
    WHERE series_id = s.series_id AND ts >= :start AND ts < :finish
    ORDER BY ts
    LIMIT 1
) AS r;

-- name: readings_in_order
-- Some of the readings of a window, by time and, at one instant, in the order in which the series are given. No series
-- can give more than skip + most of them, so each is read no further.
SELECT s.series_id, r.ts, r.value
FROM unnest(:series_ids::integer []) WITH ORDINALITY AS s (series_id, place)
CROSS JOIN LATERAL (
    SELECT ts, value
    FROM reading
    WHERE series_id = s.series_id AND ts >= :start AND ts < :finish
    ORDER BY ts
    LIMIT :skip::bigint + :most::bigint
) AS r
ORDER BY r.ts, s.place
LIMIT :most OFFSET :skip;

-- name: latest_of_sensors
-- The last reading of some of a company's sensors, by id; null where a sensor has none. Of the sensors with the given
-- ids, of one asset, or all (null: any); of those that a token may see (null: all).
SELECT sensor.id, sensor.name, sensor.asset_id, sensor.specification_type, sensor.measure_unit, r.ts, r.value
FROM (
    SELECT * FROM sensor
    WHERE
        company_id = :company_id
        AND (:ids::text [] IS NULL OR id = ANY (:ids))
        AND (:asset_id::integer IS NULL OR asset_id = :asset_id)
        AND (:seen::integer [] IS NULL OR asset_id = ANY (:seen))
    ORDER BY id
    LIMIT :most OFFSET :skip
) AS sensor
LEFT JOIN LATERAL (
    SELECT ts, value FROM reading WHERE series_id = sensor.series_id ORDER BY ts DESC LIMIT 1
) AS r ON true
ORDER BY sensor.id;

-- name: count_seen_sensors
SELECT count(*) FROM sensor
WHERE
    company_id = :company_id
    AND (:ids::text [] IS NULL OR id = ANY (:ids))
    AND (:asset_id::integer IS NULL OR asset_id = :asset_id)
    AND (:seen::integer [] IS NULL OR asset_id = ANY (:seen));

-- name: typed_sensors
-- The sensors of a cooling unit that say what they measure, by that and by id.
SELECT series_id, id, specification_type
FROM sensor
WHERE company_id = :company_id AND asset_id = :asset_id AND specification_type IS NOT NULL
ORDER BY specification_type COLLATE "C", id;

-- name: known_types
-- Those of these types that some sensor has that a token may see (null: all).
SELECT DISTINCT specification_type
FROM sensor
WHERE
    company_id = :company_id
    AND specification_type = ANY (:types::text [])
    AND (:seen::integer [] IS NULL OR asset_id = ANY (:seen));
