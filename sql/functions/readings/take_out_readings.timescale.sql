-- Deletes, and returns, all readings of the batches that overlap these stretches (a series, its first and its last
-- instant, in microseconds since 1970 UTC), and those in the stretches that are not in a batch. A series may have
-- several stretches.
--
-- The batches are deleted as the rows that they are. A DELETE of `reading` deletes whole batches too, but only with
-- constants for the series and the instants: one statement for each stretch, where this is one for each chunk. With a
-- join it would unpack batches. The continuous aggregates do not hear of it, and need not: their refreshes are forced.
CREATE OR REPLACE FUNCTION take_out_readings(series_ids integer [], starts bigint [], finishes bigint [])
RETURNS SETOF reading LANGUAGE plpgsql AS $$
DECLARE
    least_at CONSTANT timestamptz := (SELECT instant_of(min(us)) FROM unnest(starts) AS w (us));
    greatest_at CONSTANT timestamptz := (SELECT instant_of(max(us)) FROM unnest(finishes) AS w (us));
    wanted CONSTANT tstzrange [] := ARRAY(
        SELECT tstzrange(instant_of(w.start), instant_of(w.finish), '[]')
        FROM unnest(starts, finishes) WITH ORDINALITY AS w (start, finish, position)
        ORDER BY w.position
    );
    place record;
    found_series integer [];
    found_stretches tstzrange [];
    taken bigint;
    of_batches bigint;
    of_rows bigint;
BEGIN
    FOR place IN SELECT chunk, batches FROM reading_chunks(least_at, greatest_at) LOOP
        SELECT f.found_series, f.found_stretches INTO found_series, found_stretches
        FROM stretches_in_chunk(place.chunk, place.batches, series_ids, wanted) AS f;
        CONTINUE WHEN found_series IS NULL;

        RETURN QUERY EXECUTE format(
            $query$
            SELECT r.*
            FROM unnest($1, $2) AS w (series_id, stretch)
            CROSS JOIN LATERAL (
                SELECT * FROM %s AS c
                WHERE c.series_id = w.series_id AND c.ts >= lower(w.stretch) AND c.ts <= upper(w.stretch)
                OFFSET 0
            ) AS r
            $query$, place.chunk
        ) USING found_series, found_stretches;
        GET DIAGNOSTICS taken = ROW_COUNT;

        of_batches := 0;
        IF place.batches IS NOT NULL THEN
            EXECUTE format(
                $query$
                WITH gone AS (
                    DELETE FROM %s AS b USING unnest($1, $2) AS w (series_id, stretch)
                    WHERE b.series_id = w.series_id
                        AND b._ts_meta_v2_first_ts <= upper(w.stretch) AND b._ts_meta_v2_last_ts >= lower(w.stretch)
                    RETURNING b._ts_meta_count
                )
                SELECT coalesce(sum(_ts_meta_count), 0) FROM gone
                $query$, place.batches
            ) INTO of_batches USING found_series, found_stretches;
        END IF;
        of_rows := delete_rows(place.chunk, found_series, found_stretches);
        IF taken <> of_batches + of_rows THEN
            RAISE EXCEPTION 'Of % readings in %, % were deleted from batches and % from rows.',
                taken, place.chunk, of_batches, of_rows;
        END IF;
    END LOOP;
END
$$;
