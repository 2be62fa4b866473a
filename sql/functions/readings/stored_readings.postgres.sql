-- The stored readings of a series with start ≤ ts < finish. The planner inlines it.
CREATE OR REPLACE FUNCTION stored_readings(series integer, start timestamptz, finish timestamptz)
RETURNS TABLE (
    ts timestamptz,
    value double precision,
    latitude double precision,
    longitude double precision,
    x_axis_value double precision,
    metadata text
) LANGUAGE sql STABLE AS $$
SELECT r.ts, r.value, r.latitude, r.longitude, r.x_axis_value, r.metadata
FROM (
    SELECT
        coalesce(p.at, p.first_at + (p.number - 1) * p.step * interval '1 microsecond') AS ts,
        p.value, p.latitude, p.longitude, p.x_axis_value, p.metadata
    FROM (
        SELECT
            g.first_at, g.step,
            generate_series(1, g.readings) AS number, unnest(g.at) AS at, unnest(g.value) AS value,
            unnest(g.latitude) AS latitude, unnest(g.longitude) AS longitude,
            unnest(g.x_axis_value) AS x_axis_value, unnest(g.metadata) AS metadata
        FROM segment AS g
        WHERE
            g.series_id = series
            AND g.first_at >= month_of(start) AND g.first_at < finish AND g.last_at >= start
    ) AS p
) AS r
WHERE r.ts >= start AND r.ts < finish
UNION ALL
SELECT u.ts, u.value, u.latitude, u.longitude, u.x_axis_value, u.metadata
FROM unpacked_reading AS u
WHERE u.series_id = series AND u.ts >= start AND u.ts < finish
$$;
