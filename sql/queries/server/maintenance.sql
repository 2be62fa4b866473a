-- name: try_maintenance_lock
-- Held by the session that runs the maintenance job.
SELECT pg_try_advisory_lock(7463003);
