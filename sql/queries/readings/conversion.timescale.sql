-- The end of moving readings into batches.

-- name: has_old_shape
-- Whether a chunk has rows outside of batches, or had some and TimescaleDB does not know yet that they are gone.
SELECT EXISTS (
    SELECT FROM reading_chunks('-infinity', 'infinity') AS r
    INNER JOIN _timescaledb_catalog.chunk AS c ON format('%I.%I', c.schema_name, c.table_name)::regclass = r.chunk
    WHERE pg_relation_size(r.chunk) > 0 OR (r.batches IS NOT NULL AND c.status & 8 <> 0)
);

-- name: vacuum_old_shape
VACUUM reading;
