-- The store of readings on TimescaleDB, which only the settler changes.

-- name: write_batches
-- For the rest of the transaction, COPY packs readings into batches as they come.
SELECT
    set_config('timescaledb.enable_direct_compress_copy', 'on', true),
    set_config('timescaledb.enable_direct_compress_copy_client_sorted', 'on', true);

-- name: readings_in_batches
SELECT readings_in_batches(:series_ids, :starts, :finishes);

-- name: stretches_with_batches
SELECT number FROM stretches_with_batches(:series_ids, :starts, :finishes);

-- name: take_out_readings
SELECT {columns_without_nulls} FROM take_out_readings(:series_ids, :starts, :finishes);

-- name: rows_to_convert
SELECT
    series_id,
    microseconds_of(start) AS start,
    microseconds_of(finish) AS finish
FROM rows_to_convert(:max_rows);

-- name: small_batches
SELECT
    series_id,
    microseconds_of(start) AS start,
    microseconds_of(finish) AS finish
FROM small_batches((SELECT read_line FROM rollup_line), :width, :max_readings);
