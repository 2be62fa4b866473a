-- The unsettled readings of some series with start ≤ ts < finish, one a row.
CREATE OR REPLACE FUNCTION unsettled_readings(asked_series integer [], start timestamptz, finish timestamptz)
RETURNS TABLE (series_id integer, ts timestamptz, value double precision) LANGUAGE sql STABLE AS $$
SELECT r.series_id, instant_of(r.at), r.value
FROM (
    SELECT s.series_id, unnest(s.at) AS at, unnest(s.value) AS value
    FROM unsettled_slices(asked_series, start, finish, false) AS s
) AS r
$$;
