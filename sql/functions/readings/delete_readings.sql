-- Deletes a sensor's readings with start ≤ ts < finish. Returns how many; statistics are exact as soon as the
-- transaction has committed.
CREATE OR REPLACE FUNCTION delete_readings(series integer, start timestamptz, finish timestamptz) RETURNS bigint
LANGUAGE plpgsql AS $$
DECLARE
    line CONSTANT timestamptz := hold_mark_line();
    deleted bigint;
BEGIN
    WITH gone AS (
        DELETE FROM reading WHERE series_id = series AND ts >= start AND ts < finish RETURNING ts
    ),

    marked AS (
        INSERT INTO late_mark (series_id, hour)
        SELECT DISTINCT series, date_bin('1 hour', ts, 'epoch') FROM gone WHERE ts < line
    )

    SELECT count(*) INTO deleted FROM gone;
    RETURN deleted;
END
$$;
