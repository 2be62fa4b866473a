-- The chunks of `reading` that overlap a period (both ends included), with the table of their batches (null if they
-- have none yet), newest first.
CREATE OR REPLACE FUNCTION reading_chunks(start timestamptz, finish timestamptz)
RETURNS TABLE (chunk regclass, batches regclass) LANGUAGE sql STABLE AS $$
    SELECT c.relation, s.compress_relid
    FROM (
        SELECT format('%I.%I', chunk_schema, chunk_name)::regclass AS relation, range_start
        FROM timescaledb_information.chunks
        WHERE hypertable_name = 'reading' AND hypertable_schema = current_schema()
            AND range_start <= finish AND range_end > start
    ) AS c
    LEFT JOIN _timescaledb_catalog.compression_settings AS s ON s.relid = c.relation
    ORDER BY c.range_start DESC;
$$;
