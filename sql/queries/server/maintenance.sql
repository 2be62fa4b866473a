-- name: try_maintenance_lock
-- Held by the session that settles readings.
SELECT pg_try_advisory_lock(7463003);

-- name: try_web_maintenance_lock
-- Held by the session that rolls up web records.
SELECT pg_try_advisory_lock(7463008);
