-- name: be_waited_for
-- Held as long as the session listens, so that the announcing session finds it.
SELECT pg_advisory_lock_shared(7463010);

-- name: listeners
-- The sessions of this database that hold that lock.
SELECT pid
FROM pg_locks
WHERE
    locktype = 'advisory' AND classid = 0 AND objid = 7463010 AND objsubid = 1 AND granted
    AND database = (SELECT oid FROM pg_database WHERE datname = current_database());

-- name: ask_listeners
SELECT pg_notify('tidemark_catalog', :question);

-- name: answer_heard
SELECT pg_notify('tidemark_heard', :question || ' ' || pg_backend_pid());
