-- Deletes the readings of some stretches in a chunk that are not in a batch; the batches that overlap them are gone
-- already. Returns how many they were.
--
-- A DELETE unpacks all batches that its conditions on series and instant do not exclude, and only constants do: so there
-- is one for each distinct stretch, with all series that have it.
CREATE OR REPLACE FUNCTION delete_rows(chunk regclass, series_ids integer [], stretches tstzrange [])
RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    same record;
    deleted bigint := 0;
    of_stretch bigint;
BEGIN
    IF pg_relation_size(chunk) = 0 THEN
        RETURN 0;
    END IF;
    FOR same IN
        SELECT lower(w.stretch) AS start, upper(w.stretch) AS finish, array_agg(w.series_id) AS series_ids
        FROM unnest(series_ids, stretches) AS w (series_id, stretch)
        GROUP BY w.stretch
    LOOP
        EXECUTE format('DELETE FROM ONLY %s WHERE series_id = ANY ($1) AND ts >= $2 AND ts <= $3', chunk)
        USING same.series_ids, same.start, same.finish;
        GET DIAGNOSTICS of_stretch = ROW_COUNT;
        deleted := deleted + of_stretch;
    END LOOP;
    RETURN deleted;
END
$$;
