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
FROM (SELECT * FROM segments_in(start, finish) AS s WHERE s.series_id = series OFFSET 0) AS g
CROSS JOIN LATERAL unpacked(
    g.first_at, g.step, g.first, g.last, g.at, g.value, g.latitude, g.longitude, g.x_axis_value, g.metadata
) AS r
WHERE r.ts >= start AND r.ts < finish
UNION ALL
SELECT u.ts, u.value, u.latitude, u.longitude, u.x_axis_value, u.metadata
FROM unpacked_reading AS u
WHERE u.series_id = series AND u.ts >= start AND u.ts < finish
$$;
