-- The last stored readings of a series with start ≤ ts < finish: so many of them; all if there are fewer. The planner
-- inlines it.
CREATE OR REPLACE FUNCTION last_stored(
    series integer, start timestamptz, finish timestamptz, max_rows bigint
) RETURNS TABLE (
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
ORDER BY s.ts DESC
LIMIT max_rows
$$;
