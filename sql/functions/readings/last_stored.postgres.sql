-- The last stored readings of a series with start ≤ ts < finish: so many of them, or more; all if there are fewer. The
-- planner inlines it. Only as many segments are unpacked as it takes; the readings counted before a segment may
-- include two that are just outside of the window.
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
(
    SELECT r.ts, r.value, r.latitude, r.longitude, r.x_axis_value, r.metadata
    FROM (
        SELECT c.*, sum(c.last - c.first + 1) OVER (ORDER BY c.first_at DESC) - (c.last - c.first + 1) AS before
        FROM (SELECT * FROM segments_in(start, finish) AS s WHERE s.series_id = series OFFSET 0) AS c
    ) AS g
    CROSS JOIN LATERAL unpacked(
        g.first_at, g.step, g.first, g.last, g.at, g.value, g.latitude, g.longitude, g.x_axis_value, g.metadata
    ) AS r
    WHERE g.before <= max_rows + 2 AND r.ts >= start AND r.ts < finish
    ORDER BY r.ts DESC
    LIMIT max_rows
)
UNION ALL
(
    SELECT u.ts, u.value, u.latitude, u.longitude, u.x_axis_value, u.metadata
    FROM unpacked_reading AS u
    WHERE u.series_id = series AND u.ts >= start AND u.ts < finish
    ORDER BY u.ts DESC
    LIMIT max_rows
)
$$;
