-- Stretches of series in one chunk that hold its next rows that are not in a batch, up to so many; none if no chunk
-- has any. Series come one after the other, so that the batches are large; all but the last one have the same stretch,
-- since one statement deletes them.
CREATE OR REPLACE FUNCTION rows_to_convert(max_rows bigint)
RETURNS TABLE (series_id integer, start timestamptz, finish timestamptz) LANGUAGE plpgsql AS $$
DECLARE
    place record;
BEGIN
    FOR place IN
        SELECT chunk FROM reading_chunks('-infinity', 'infinity') WHERE pg_relation_size(chunk) > 0
    LOOP
        RETURN QUERY EXECUTE format(
            $query$
            WITH next AS (
                SELECT c.series_id, c.ts FROM ONLY %s AS c ORDER BY c.series_id, c.ts LIMIT $1
            ),
            whole AS (SELECT min(ts) AS start, max(ts) AS finish, max(series_id) AS last FROM next)
            SELECT
                n.series_id, w.start, CASE WHEN n.series_id = w.last THEN max(n.ts) ELSE w.finish END
            FROM next AS n CROSS JOIN whole AS w
            GROUP BY n.series_id, w.start, w.finish, w.last
            $query$, place.chunk
        ) USING max_rows;
        EXIT WHEN FOUND;
    END LOOP;
END
$$;
