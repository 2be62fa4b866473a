-- Stretches of series in one chunk that have many small batches which began in the same closed day or hour, up to so
-- many readings. Each of them has at least four batches and becomes one, or batches of 500 readings or more: so merging
-- comes to rest, and a reading is merged with those of its hour and then those of its day.
CREATE OR REPLACE FUNCTION small_batches(closed_before timestamptz, width interval, max_readings bigint)
RETURNS TABLE (series_id integer, start timestamptz, finish timestamptz) LANGUAGE plpgsql AS $$
DECLARE
    place record;
BEGIN
    FOR place IN SELECT batches FROM reading_chunks('-infinity', closed_before) WHERE batches IS NOT NULL LOOP
        RETURN QUERY EXECUTE format(
            $query$
            SELECT g.series_id, g.start, g.finish
            FROM (
                SELECT
                    b.series_id,
                    min(b._ts_meta_v2_first_ts) AS start,
                    max(b._ts_meta_v2_last_ts) AS finish,
                    sum(sum(b._ts_meta_count)) OVER (ORDER BY b.series_id, min(b._ts_meta_v2_first_ts))
                    - sum(b._ts_meta_count) AS before
                FROM %s AS b
                WHERE b._ts_meta_v2_first_ts < date_bin($2, $1, 'epoch')
                GROUP BY b.series_id, date_bin($2, b._ts_meta_v2_first_ts, 'epoch')
                HAVING count(*) >= 4 AND avg(b._ts_meta_count) < 250
            ) AS g
            WHERE g.before < $3
            $query$, place.batches
        ) USING closed_before, width, max_readings;
        EXIT WHEN FOUND;
    END LOOP;
END
$$;
