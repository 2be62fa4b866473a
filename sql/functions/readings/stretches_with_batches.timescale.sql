-- Which of some stretches of series have a batch between their two instants (microseconds since 1970 UTC), by their
-- numbers, counted from 1.
CREATE OR REPLACE FUNCTION stretches_with_batches(series_ids integer [], starts bigint [], finishes bigint [])
RETURNS TABLE (number bigint) LANGUAGE plpgsql AS $$
DECLARE
    place record;
BEGIN
    FOR place IN
        SELECT c.batches
        FROM reading_chunks(
            (SELECT instant_of(min(us)) FROM unnest(starts) AS w (us)),
            (SELECT instant_of(max(us)) FROM unnest(finishes) AS w (us))
        ) AS c
        WHERE c.batches IS NOT NULL
    LOOP
        RETURN QUERY EXECUTE format(
            $query$
            SELECT w.number
            FROM unnest($1, $2, $3) WITH ORDINALITY AS w (series_id, start, finish, number)
            WHERE EXISTS (
                SELECT FROM %s AS b
                WHERE
                    b.series_id = w.series_id
                    AND b._ts_meta_v2_first_ts > instant_of(w.start) AND b._ts_meta_v2_last_ts < instant_of(w.finish)
            )
            $query$, place.batches
        ) USING series_ids, starts, finishes;
    END LOOP;
END
$$;
