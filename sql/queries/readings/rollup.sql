-- part: replacing_bucket
ON CONFLICT (series_id, bucket) DO UPDATE SET
    sample_count = excluded.sample_count,
    value_sum = excluded.value_sum,
    value_min = excluded.value_min,
    value_max = excluded.value_max

-- part: hours_given
SELECT series_id, start, sample_count, value_sum, nullif(value_min, 'NaN'), nullif(value_max, 'NaN')
FROM unnest(
    :series_ids::integer [], :starts::timestamptz [], :counts::bigint [],
    :totals::double precision [], :minimums::double precision [], :maximums::double precision []
) AS h (series_id, start, sample_count, value_sum, value_min, value_max)

-- part: days_of_hours
-- Of days that have hours; even an hour that has become empty is a row.
SELECT d.series_id, d.day, sum(h.sample_count), sum(h.value_sum), min(h.value_min), max(h.value_max)
FROM unnest(:series_ids::integer [], :days::timestamptz []) AS d (series_id, day)
CROSS JOIN LATERAL (
    SELECT * FROM reading_hourly
    WHERE series_id = d.series_id AND bucket >= d.day AND bucket < d.day + interval '1 day'
) AS h
GROUP BY d.series_id, d.day
