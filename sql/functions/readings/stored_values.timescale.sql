-- The stored readings of some series with start ≤ ts < finish, without their optional columns. The planner inlines it.
CREATE OR REPLACE FUNCTION stored_values(asked integer [], start timestamptz, finish timestamptz)
RETURNS TABLE (series_id integer, ts timestamptz, value double precision) LANGUAGE sql STABLE AS $$
SELECT s.series_id, s.ts, s.value
FROM reading AS s
WHERE s.series_id = ANY (asked) AND s.ts >= start AND s.ts < finish
$$;
