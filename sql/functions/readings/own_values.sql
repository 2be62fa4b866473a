-- The stored readings of a series of the SQL user's own organization with start ≤ ts < finish. Everybody may call this, and it
-- runs with the rights of its owner, as own_unsettled does.
CREATE OR REPLACE FUNCTION own_values(asked integer, start timestamptz, finish timestamptz)
RETURNS TABLE (ts timestamptz, value double precision)
LANGUAGE sql STABLE ROWS 60 SECURITY DEFINER SET search_path = public, pg_temp AS $$
SELECT v.ts, v.value
FROM stored_values(ARRAY(SELECT o.series_id FROM own_sensor AS o WHERE o.series_id = asked), start, finish) AS v
$$;
