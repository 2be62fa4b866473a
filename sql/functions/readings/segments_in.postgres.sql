-- The segments that overlap start ≤ ts < finish, each with the positions of its first and last reading in the window; at
-- most one at either end is just outside. The planner inlines it: conditions on series_id find segments in the index.
CREATE OR REPLACE FUNCTION segments_in(start timestamptz, finish timestamptz) RETURNS TABLE (
    series_id integer,
    first_at timestamptz,
    step bigint,
    at timestamptz [],
    value double precision [],
    latitude double precision [],
    longitude double precision [],
    x_axis_value double precision [],
    metadata text [],
    first integer,
    last integer
) LANGUAGE sql STABLE AS $$
SELECT
    s.series_id, s.first_at, s.step, s.at, s.value, s.latitude, s.longitude, s.x_axis_value, s.metadata,
    CASE WHEN s.first_at < start THEN segment_position(start, s.first_at, s.step, s.at) ELSE 1 END,
    CASE
        WHEN s.last_at < finish THEN s.readings
        ELSE least(segment_position(finish, s.first_at, s.step, s.at) + 1, s.readings)
    END
FROM segment AS s
WHERE s.first_at >= month_of(start) AND s.first_at < finish AND s.last_at >= start
$$;
