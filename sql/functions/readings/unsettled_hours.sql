-- The hours (UTC) that contain unsettled readings of some series with start ≤ ts < finish.
CREATE OR REPLACE FUNCTION unsettled_hours(asked_series integer [], start timestamptz, finish timestamptz)
RETURNS TABLE (series_id integer, hour timestamptz) LANGUAGE sql STABLE AS $$
SELECT r.series_id, instant_of(r.hour * 3600000000)
FROM (
    SELECT DISTINCT s.series_id, unnest(s.at) / 3600000000 AS hour
    FROM unsettled_slices(asked_series, start, finish, false) AS s
) AS r
$$;
