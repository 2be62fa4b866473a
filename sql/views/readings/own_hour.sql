-- The hours (UTC) of the SQL user's organization that have readings, by series: before the line from the roll-ups, which
-- describe the store alone, and from the readings after the line and in hours that have unsettled readings.
CREATE OR REPLACE VIEW own_hour AS
SELECT s.series_id, s.company_id, s.id, h.bucket, h.sample_count, h.value_sum, h.value_min, h.value_max
FROM own_sensor AS s
CROSS JOIN LATERAL own_unsettled(s.series_id, false) AS u
CROSS JOIN LATERAL (
    SELECT ARRAY(SELECT DISTINCT date_bin('1 hour', at, 'epoch') FROM unnest(u.ts) AS at ORDER BY 1) AS hours
    OFFSET 0
) AS late
CROSS JOIN LATERAL (
    SELECT bucket, sample_count, value_sum, value_min, value_max
    FROM reading_hourly
    WHERE
        series_id = s.series_id AND bucket < (SELECT read_line FROM rollup_line)
        AND sample_count > 0 -- a roll-up of an hour whose readings were deleted
        AND late.hours[width_bucket(bucket, late.hours)] IS DISTINCT FROM bucket
    UNION ALL
    SELECT date_bin('1 hour', r.ts, 'epoch') AS bucket, count(*), sum(r.value), min(r.value), max(r.value)
    FROM (
        SELECT v.ts, v.value, true AS is_stored
        FROM rollup_line AS l
        CROSS JOIN LATERAL own_values(s.series_id, l.read_line, 'infinity') AS v
        UNION ALL
        SELECT v.ts, v.value, true
        FROM unnest(late.hours) AS hour
        CROSS JOIN LATERAL own_values(s.series_id, hour, hour + interval '1 hour') AS v
        WHERE hour < (SELECT read_line FROM rollup_line)
        UNION ALL
        SELECT unnest(u.ts), unnest(u.value), false
    ) AS r
    WHERE NOT r.is_stored OR u.ts[width_bucket(r.ts, u.ts)] IS DISTINCT FROM r.ts
    GROUP BY bucket
) AS h;
