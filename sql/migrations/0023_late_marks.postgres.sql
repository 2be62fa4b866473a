-- The settler recomputes an hour in the transaction that changes it, so nothing is marked any more. What is still marked
-- is recomputed here.
WITH hours AS (
    SELECT DISTINCT series_id, hour FROM late_mark WHERE hour < (SELECT read_line FROM rollup_line)
)

INSERT INTO reading_hourly (series_id, bucket, sample_count, value_sum, value_min, value_max)
SELECT h.series_id, h.hour, count(r.value), coalesce(sum(r.value), 0), min(r.value), max(r.value)
FROM hours AS h
LEFT JOIN LATERAL (
    SELECT value FROM reading WHERE series_id = h.series_id AND ts >= h.hour AND ts < h.hour + interval '1 hour'
) AS r ON true
GROUP BY h.series_id, h.hour
ON CONFLICT (series_id, bucket) DO UPDATE SET
    sample_count = excluded.sample_count,
    value_sum = excluded.value_sum,
    value_min = excluded.value_min,
    value_max = excluded.value_max;

WITH days AS (
    SELECT DISTINCT series_id, date_bin('1 day', hour, 'epoch') AS day
    FROM late_mark
    WHERE date_bin('1 day', hour, 'epoch') + interval '1 day' <= (SELECT read_line FROM rollup_line)
)

INSERT INTO reading_daily (series_id, bucket, sample_count, value_sum, value_min, value_max)
SELECT d.series_id, d.day, sum(h.sample_count), sum(h.value_sum), min(h.value_min), max(h.value_max)
FROM days AS d
INNER JOIN reading_hourly AS h
    ON h.series_id = d.series_id AND h.bucket >= d.day AND h.bucket < d.day + interval '1 day'
GROUP BY d.series_id, d.day
ON CONFLICT (series_id, bucket) DO UPDATE SET
    sample_count = excluded.sample_count,
    value_sum = excluded.value_sum,
    value_min = excluded.value_min,
    value_max = excluded.value_max;

DROP TABLE late_mark;
