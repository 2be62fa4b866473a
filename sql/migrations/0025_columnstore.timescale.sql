-- Readings are stored in the columnstore: batches of up to 1,000 readings of a series, without a unique index, since
-- COPY writes batches only where there is none. Chunks that exist keep their rows, which are moved into batches later.
-- New chunks inherit all of this.
DO $$
BEGIN
    IF EXISTS (SELECT FROM reading) THEN
        RAISE INFO 'building an index on all stored readings, which takes some minutes for each hundred million';
    END IF;
END
$$;
CREATE INDEX reading_series_ts ON reading (series_id, ts);
ALTER TABLE reading DROP CONSTRAINT reading_pkey;
ALTER TABLE reading SET (
    timescaledb.enable_columnstore, timescaledb.segmentby = 'series_id', timescaledb.orderby = 'ts'
);
-- A query over many chunks takes longer to plan than to run, and batches make chunks small.
SELECT set_chunk_time_interval('reading', INTERVAL '28 days');
