-- The newest unsettled reading of each series of the SQL user's own organization that has one. Everybody may call this, and
-- it runs with the rights of its owner, as own_unsettled does.
CREATE OR REPLACE FUNCTION own_newest_unsettled()
RETURNS TABLE (series_id integer, ts timestamptz, value double precision)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
SELECT u.series_id, u.ts, u.value FROM newest_unsettled(ARRAY(SELECT o.series_id FROM own_sensor AS o)) AS u
$$;
