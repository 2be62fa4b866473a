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
            generate_series(g.first, g.last) AS number, unnest(g.at[g.first:g.last]) AS at,
            unnest(g.value[g.first:g.last]) AS value,
            unnest(g.latitude[g.first:g.last]) AS latitude, unnest(g.longitude[g.first:g.last]) AS longitude,
            unnest(g.x_axis_value[g.first:g.last]) AS x_axis_value, unnest(g.metadata[g.first:g.last]) AS metadata
        FROM (
            SELECT
                s.*,
                CASE
                    WHEN s.first_at < start THEN segment_position(start, s.first_at, s.step, s.at)
                    ELSE 1
                END AS first,
                CASE
                    WHEN s.last_at < finish THEN s.readings
                    ELSE least(segment_position(finish, s.first_at, s.step, s.at) + 1, s.readings)
                END AS last
            FROM segment AS s
            WHERE
                s.series_id = series
                AND s.first_at >= month_of(start) AND s.first_at < finish AND s.last_at >= start
            OFFSET 0
        ) AS g
    ) AS p
) AS r
WHERE r.ts >= start AND r.ts < finish
UNION ALL
SELECT u.ts, u.value, u.latitude, u.longitude, u.x_axis_value, u.metadata
FROM unpacked_reading AS u
WHERE u.series_id = series AND u.ts >= start AND u.ts < finish
$$;
