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
SELECT s.ts, s.value, s.latitude, s.longitude, s.x_axis_value, s.metadata
FROM reading AS s
WHERE s.series_id = series AND s.ts >= start AND s.ts < finish
$$;
