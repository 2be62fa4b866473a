-- The days (UTC) of each sensor that have readings: before the day of the line from the roll-ups, and from the hours after
-- that and for days that have unsettled readings.
CREATE OR REPLACE VIEW tidemark.reading_daily WITH (security_barrier) AS
SELECT
    s.company_id, s.id AS sensor, d.bucket, d.sample_count, d.value_min AS min, d.value_max AS max,
    least(greatest(d.value_sum / d.sample_count, d.value_min), d.value_max) AS avg
FROM own_sensor AS s
CROSS JOIN LATERAL own_unsettled(s.series_id, false) AS u
CROSS JOIN LATERAL (
    SELECT ARRAY(SELECT DISTINCT date_bin('1 day', at, 'epoch') FROM unnest(u.ts) AS at ORDER BY 1) AS days
    OFFSET 0
) AS late
CROSS JOIN LATERAL (
    SELECT bucket, sample_count, value_sum, value_min, value_max
    FROM reading_daily
    WHERE
        series_id = s.series_id AND bucket < (SELECT date_bin('1 day', read_line, 'epoch') FROM rollup_line)
        AND sample_count > 0
        AND late.days[width_bucket(bucket, late.days)] IS DISTINCT FROM bucket
    UNION ALL
    SELECT day, sum(h.sample_count)::bigint, sum(h.value_sum), min(h.value_min), max(h.value_max)
    FROM (
        SELECT date_bin('1 day', bucket, 'epoch') AS day, sample_count, value_sum, value_min, value_max
        FROM own_hour
        WHERE
            series_id = s.series_id
            AND bucket >= (SELECT date_bin('1 day', read_line, 'epoch') FROM rollup_line)
        UNION ALL
        SELECT day, o.sample_count, o.value_sum, o.value_min, o.value_max
        FROM unnest(late.days) AS day
        INNER JOIN own_hour AS o ON o.series_id = s.series_id AND o.bucket >= day AND o.bucket < day + interval '1 day'
        WHERE day < (SELECT date_bin('1 day', read_line, 'epoch') FROM rollup_line)
    ) AS h
    GROUP BY day
) AS d;

GRANT SELECT ON tidemark.reading_daily TO public;
