-- What the harness asks of the database, beside the service's own statements.

-- name: explain
-- A prefix for another statement. Without the clock of every plan node, which would cost more than the nodes do.
EXPLAIN (ANALYZE, TIMING off, FORMAT json)

-- name: raw_statistics
SELECT
    count(*) AS sample_count,
    sum(value) AS value_sum,
    min(value) AS value_min,
    max(value) AS value_max
FROM reading
WHERE series_id = :series_id AND ts >= :start AND ts < :finish;

-- name: mean_magnitude
SELECT avg(abs(value)) FROM reading WHERE series_id = :series_id AND ts >= :start AND ts < :finish;

-- name: progress_of_writes
-- Rows stored, and the next transaction id: only transactions that write take one, so the difference between two
-- moments is the number of commits of writers between them.
SELECT
    (SELECT count(*) FROM reading) AS stored,
    pg_snapshot_xmax(pg_current_snapshot())::text::bigint AS next_transaction;

-- name: set_lines_back
-- As if the service had been set up before the first reading was taken.
UPDATE rollup_line SET mark_line = :line, read_line = :line;

-- name: tidy
VACUUM (ANALYZE);

-- name: create_copy_database
CREATE DATABASE copy_reference;

-- name: series_of_sensor
SELECT series_id FROM sensor WHERE id = :sensor_id;

-- name: stored_between
-- How many readings, and their sum.
SELECT count(*) AS stored, coalesce(sum(value), 0) AS value_sum
FROM reading
WHERE ts >= :start AND ts < :finish;

-- name: late_marks
SELECT count(*) FROM late_mark;
