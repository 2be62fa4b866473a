-- name: status
SELECT
    current_setting('server_version') AS postgres_version,
    (SELECT extversion FROM pg_extension WHERE extname = 'timescaledb') AS timescaledb_version,
    pg_database_size(current_database()) AS database_bytes,
    (SELECT count(*) FROM organization) AS organizations,
    (SELECT count(*) FROM asset) AS assets,
    (SELECT count(*) FROM sensor) AS sensors,
    read_line AS rolled_up_before,
    (SELECT coalesce(sum(readings), 0)::bigint FROM reading_log) AS unsettled_readings
FROM rollup_line;
