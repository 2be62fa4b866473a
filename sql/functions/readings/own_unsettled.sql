-- The unsettled readings of a series of the SQL user's own organization, in one row, ascending. The arrays are null where
-- there are none, and the optional ones unless asked for (with_details).
--
-- A function in a view runs with the rights of whoever uses the view, who has none for the log. So this one runs with those
-- of its owner; everybody may call it, and it has no row for the series of others. Temporary tables come last in its search
-- path, since callers make those.
CREATE OR REPLACE FUNCTION own_unsettled(asked integer, with_details boolean) RETURNS TABLE (
    ts timestamptz [],
    value double precision [],
    latitude double precision [],
    longitude double precision [],
    x_axis_value double precision [],
    metadata text []
) LANGUAGE sql STABLE ROWS 1 SECURITY DEFINER SET search_path = public, pg_temp AS $$
SELECT u.ts, u.value, u.latitude, u.longitude, u.x_axis_value, u.metadata
FROM
    series_with_unsettled(
        ARRAY(SELECT o.series_id FROM own_sensor AS o WHERE o.series_id = asked), 'epoch', 'infinity', with_details
    ) AS u
$$;
