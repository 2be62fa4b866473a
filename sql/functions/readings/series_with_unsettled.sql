-- One row for each series, in the order given, with its unsettled readings with start ≤ ts < finish, ascending. If it has
-- none, the arrays are null and first_at is after last_at.
CREATE OR REPLACE FUNCTION series_with_unsettled(
    asked_series integer [], start timestamptz, finish timestamptz, with_details boolean
) RETURNS TABLE (
    series_id integer,
    place bigint,
    first_at timestamptz,
    last_at timestamptz,
    ts timestamptz [],
    value double precision [],
    latitude double precision [],
    longitude double precision [],
    x_axis_value double precision [],
    metadata text []
) LANGUAGE plpgsql STABLE ROWS 100 SET plan_cache_mode = force_generic_plan SET jit = off AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    WITH slice AS (
        SELECT
            s.*,
            bool_or(num_nonnulls(s.latitude, s.longitude, s.x_axis_value, s.metadata) > 0)
                OVER (PARTITION BY s.series_id) AS has_details
        FROM unsettled_slices(asked_series, start, finish, with_details) AS s
    ),

    unsettled AS (
        SELECT
            r.series_id, min(r.at) AS first_at, max(r.at) AS last_at,
            array_agg(instant_of(r.at)) AS ts, array_agg(r.value) AS value,
            array_agg(r.latitude) FILTER (WHERE r.has_details) AS latitude,
            array_agg(r.longitude) FILTER (WHERE r.has_details) AS longitude,
            array_agg(r.x_axis_value) FILTER (WHERE r.has_details) AS x_axis_value,
            array_agg(r.metadata) FILTER (WHERE r.has_details) AS metadata
        FROM (
            SELECT
                s.series_id, s.has_details, unnest(s.at) AS at, unnest(s.value) AS value,
                unnest(s.latitude) AS latitude, unnest(s.longitude) AS longitude,
                unnest(s.x_axis_value) AS x_axis_value, unnest(s.metadata) AS metadata
            FROM slice AS s
            ORDER BY series_id, at
        ) AS r
        GROUP BY r.series_id
    )

    SELECT
        a.series_id, a.place,
        coalesce(instant_of(u.first_at), 'infinity'), coalesce(instant_of(u.last_at), '-infinity'),
        u.ts, u.value, u.latitude, u.longitude, u.x_axis_value, u.metadata
    FROM unnest(asked_series) WITH ORDINALITY AS a (series_id, place)
    LEFT JOIN unsettled AS u USING (series_id)
    ORDER BY a.place;
END
$$;
