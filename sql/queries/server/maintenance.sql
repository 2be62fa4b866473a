-- name: try_maintenance_lock
-- Held by the session that is the one to run the maintenance job.
SELECT pg_try_advisory_lock(7463003);
