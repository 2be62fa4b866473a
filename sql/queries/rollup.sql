-- name: try_maintenance_lock
-- Held by the session that is the one to run the maintenance job.
SELECT pg_try_advisory_lock(7463003);

-- name: rollup_lines
SELECT mark_line, read_line FROM rollup_line;

-- name: lock_mark_line
-- Waits for every writer that still goes by the old line.
SELECT pg_advisory_xact_lock(7463002);

-- name: move_mark_line
UPDATE rollup_line SET mark_line = greatest(mark_line, :line);

-- name: move_read_line
UPDATE rollup_line SET read_line = :line;

-- name: prepare_storage
SELECT prepare_storage();
