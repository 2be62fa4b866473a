-- How many readings are in the batches that overlap these stretches (see take_out_readings).
CREATE OR REPLACE FUNCTION readings_in_batches(series_ids integer [], starts bigint [], finishes bigint [])
RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    place record;
    of_chunk bigint;
    counted bigint := 0;
BEGIN
    FOR place IN
        SELECT batches
        FROM reading_chunks(
            (SELECT instant_of(min(us)) FROM unnest(starts) AS w (us)),
            (SELECT instant_of(max(us)) FROM unnest(finishes) AS w (us))
        )
        WHERE batches IS NOT NULL
    LOOP
        EXECUTE format(
            $query$
            SELECT coalesce(sum(b._ts_meta_count), 0)
            FROM unnest($1, $2, $3) AS w (series_id, start, finish)
            INNER JOIN %s AS b
                ON b.series_id = w.series_id
                AND b._ts_meta_v2_first_ts <= instant_of(w.finish) AND b._ts_meta_v2_last_ts >= instant_of(w.start)
            $query$, place.batches
        ) INTO of_chunk USING series_ids, starts, finishes;
        counted := counted + of_chunk;
    END LOOP;
    RETURN counted;
END
$$;
