-- The stored readings of some series with start ≤ ts < finish, without their optional columns. The planner inlines it.
CREATE OR REPLACE FUNCTION stored_values(asked integer [], start timestamptz, finish timestamptz)
RETURNS TABLE (series_id integer, ts timestamptz, value double precision) LANGUAGE sql STABLE AS $$
SELECT g.series_id, r.ts, r.value
FROM (SELECT * FROM segments_in(start, finish) AS s WHERE s.series_id = ANY (asked) OFFSET 0) AS g
CROSS JOIN LATERAL unpacked(g.first_at, g.step, g.first, g.last, g.at, g.value) AS r
WHERE r.ts >= start AND r.ts < finish
UNION ALL
SELECT u.series_id, u.ts, u.value
FROM unpacked_reading AS u
WHERE u.series_id = ANY (asked) AND u.ts >= start AND u.ts < finish
$$;
