-- Which stretches of series must be taken out of a chunk, so that all of its batches that overlap the wanted stretches
-- are taken out whole; disjoint for each series. Null if nothing of them is stored in batches, and the chunk has no
-- other rows.
CREATE OR REPLACE FUNCTION stretches_in_chunk(
    chunk regclass, batches regclass, series_ids integer [], wanted tstzrange [],
    OUT found_series integer [], OUT found_stretches tstzrange []
) LANGUAGE plpgsql AS $$
DECLARE
    has_rows CONSTANT boolean := pg_relation_size(chunk) > 0;
    overlapping CONSTANT text := CASE WHEN batches IS NULL THEN '' ELSE format(
        $query$
        UNION ALL
        SELECT b.series_id, tstzrange(b._ts_meta_v2_first_ts, b._ts_meta_v2_last_ts, '[]')
        FROM unnest($1, $2) AS w (series_id, stretch)
        INNER JOIN %s AS b
            ON b.series_id = w.series_id
            AND b._ts_meta_v2_first_ts <= upper(w.stretch) AND b._ts_meta_v2_last_ts >= lower(w.stretch)
        $query$, batches
    ) END;
BEGIN
    EXECUTE format(
        $query$
        SELECT array_agg(j.series_id), array_agg(j.stretch)
        FROM (
            SELECT f.series_id, unnest(range_agg(f.stretch)) AS stretch
            FROM (
                SELECT w.series_id, w.stretch FROM unnest($1, $2) AS w (series_id, stretch) WHERE $3
                %s
            ) AS f
            GROUP BY f.series_id
        ) AS j
        $query$, overlapping
    ) INTO found_series, found_stretches USING series_ids, wanted, has_rows;
END
$$;
