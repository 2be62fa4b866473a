-- The unsettled readings of some series with start ≤ ts < finish, which are those that only the log has as they are now:
-- the newest of each series and instant. They come in slices of one series, ascending; no two slices of a series overlap
-- in time. Optional columns are null unless asked for (with_details), and where no reading of the slice has one.
--
-- A query is exact if it sees log and store in one snapshot, and leaves out of the store what the log has too.
-- unsettled_rows tells what `|| '{}'` and OFFSET 0 are for.
CREATE OR REPLACE FUNCTION unsettled_slices(
    asked_series integer [], start timestamptz, finish timestamptz, with_details boolean
) RETURNS TABLE (
    series_id integer,
    first_at timestamptz,
    last_at timestamptz,
    at bigint [],
    value double precision [],
    latitude double precision [],
    longitude double precision [],
    x_axis_value double precision [],
    metadata text []
) LANGUAGE plpgsql STABLE ROWS 100 SET plan_cache_mode = force_generic_plan SET jit = off AS $$
#variable_conflict use_column
DECLARE
    asked integer [];
    start_us CONSTANT bigint := microseconds_of(start);
    finish_us CONSTANT bigint := microseconds_of(finish);
BEGIN
    IF NOT EXISTS (SELECT FROM reading_log WHERE least_at < finish AND greatest_at >= start) THEN
        RETURN;
    END IF;
    asked := ARRAY(SELECT DISTINCT unnest(asked_series) ORDER BY 1);
    RETURN QUERY
    WITH fetched AS (
        SELECT
            l.xid, l.readings, l.is_inside, l.series, l.places,
            l.starts || '{}' AS starts, l.at || '{}' AS at, l.value || '{}' AS value,
            CASE WHEN with_details THEN l.latitude || '{}' END AS latitude,
            CASE WHEN with_details THEN l.longitude || '{}' END AS longitude,
            CASE WHEN with_details THEN l.x_axis_value || '{}' END AS x_axis_value,
            CASE WHEN with_details THEN l.metadata || '{}' END AS metadata
        FROM unsettled_rows(asked, start, finish) AS l
        WHERE l.places <> '{}'
        OFFSET 0
    ),

    placed AS (
        SELECT
            f.*, f.series[p.place] AS series_id, f.starts[p.place] AS first,
            coalesce(f.starts[p.place + 1] - 1, f.readings) AS last
        FROM fetched AS f
        CROSS JOIN unnest(f.places) AS p (place)
    ),

    cut AS (
        SELECT
            p.series_id, p.xid, p.at, p.value, p.latitude, p.longitude, p.x_axis_value, p.metadata,
            p.first + CASE WHEN p.is_inside THEN 0 ELSE width_bucket(start_us - 1, p.at[p.first:p.last]) END AS first,
            CASE WHEN p.is_inside THEN p.last ELSE p.first - 1 + width_bucket(finish_us - 1, p.at[p.first:p.last]) END
                AS last
        FROM placed AS p
        OFFSET 0
    ),

    piece AS (
        SELECT
            c.series_id, c.xid, c.at[c.first:c.last] AS at, c.value[c.first:c.last] AS value,
            c.latitude[c.first:c.last] AS latitude, c.longitude[c.first:c.last] AS longitude,
            c.x_axis_value[c.first:c.last] AS x_axis_value, c.metadata[c.first:c.last] AS metadata
        FROM cut AS c
        WHERE c.first <= c.last
        OFFSET 0
    ),

    -- Pieces that overlap others of their series in time may have readings in common with them.
    judged AS MATERIALIZED (
        SELECT
            p.*,
            coalesce(
                p.at[1] <= max(p.at[cardinality(p.at)])
                    OVER (by_series ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING),
                false
            ) OR coalesce(p.at[cardinality(p.at)] >= lead(p.at[1]) OVER by_series, false) AS is_contested
        FROM piece AS p
        WINDOW by_series AS (PARTITION BY p.series_id ORDER BY p.at[1])
    ),

    newest AS (
        SELECT DISTINCT ON (r.series_id, r.at) r.*
        FROM (
            SELECT
                j.series_id, j.xid, unnest(j.at) AS at, unnest(j.value) AS value,
                unnest(j.latitude) AS latitude, unnest(j.longitude) AS longitude,
                unnest(j.x_axis_value) AS x_axis_value, unnest(j.metadata) AS metadata
            FROM judged AS j
            WHERE j.is_contested
        ) AS r
        ORDER BY r.series_id, r.at, r.xid DESC
    ),

    whole AS (
        SELECT j.series_id, j.at, j.value, j.latitude, j.longitude, j.x_axis_value, j.metadata
        FROM judged AS j
        WHERE NOT j.is_contested
        UNION ALL
        SELECT
            n.series_id, array_agg(n.at), array_agg(n.value),
            array_agg(n.latitude) FILTER (WHERE with_details), array_agg(n.longitude) FILTER (WHERE with_details),
            array_agg(n.x_axis_value) FILTER (WHERE with_details), array_agg(n.metadata) FILTER (WHERE with_details)
        FROM newest AS n
        GROUP BY n.series_id
    )

    SELECT
        w.series_id, instant_of(w.at[1]), instant_of(w.at[cardinality(w.at)]),
        w.at, w.value, w.latitude, w.longitude, w.x_axis_value, w.metadata
    FROM whole AS w;
END
$$;
