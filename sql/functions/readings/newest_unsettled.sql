-- The newest unsettled reading of each series that has one.
CREATE OR REPLACE FUNCTION newest_unsettled(asked_series integer [])
RETURNS TABLE (series_id integer, ts timestamptz, value double precision)
LANGUAGE plpgsql STABLE ROWS 100 SET plan_cache_mode = force_generic_plan SET jit = off AS $$
#variable_conflict use_column
DECLARE
    asked CONSTANT integer [] := ARRAY(SELECT DISTINCT unnest(asked_series) ORDER BY 1);
BEGIN
    RETURN QUERY
    WITH fetched AS (
        SELECT
            l.xid, l.readings, l.series, l.places, l.starts || '{}' AS starts, l.at || '{}' AS at, l.value || '{}' AS value
        FROM unsettled_rows(asked, '-infinity', 'infinity') AS l
        WHERE l.places <> '{}'
        OFFSET 0
    ),

    placed AS (
        SELECT f.*, f.series[p.place] AS series_id, coalesce(f.starts[p.place + 1] - 1, f.readings) AS last
        FROM fetched AS f
        CROSS JOIN unnest(f.places) AS p (place)
    ),

    last_of_piece AS (
        SELECT p.series_id, p.xid, p.at[p.last] AS at, p.value[p.last] AS value FROM placed AS p OFFSET 0
    ),

    -- A later transaction may have older instants, so the instant decides first.
    newest AS (
        SELECT DISTINCT ON (l.series_id) l.series_id, l.at, l.value
        FROM last_of_piece AS l
        ORDER BY l.series_id, l.at DESC, l.xid DESC
    )

    SELECT n.series_id, instant_of(n.at), n.value FROM newest AS n;
END
$$;
