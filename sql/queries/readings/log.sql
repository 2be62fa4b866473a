-- name: log_rows
-- What these transactions have appended, in the order of their writing. Their readings come in arrays without nulls: an
-- absent coordinate is NaN, which no reading has.
SELECT
    company_id,
    series,
    starts,
    at,
    value,
    array_replace(latitude, NULL, 'NaN'),
    array_replace(longitude, NULL, 'NaN'),
    array_replace(x_axis_value, NULL, 'NaN'),
    metadata
FROM reading_log
WHERE xid BETWEEN :first AND :last
ORDER BY xid, run;

-- name: append_session
-- What a writer must know of its session to say until when the server may take an append, and to end it.
SELECT pid, backend_start, clock_timestamp() AS now
FROM pg_stat_activity
WHERE pid = pg_backend_pid();

-- name: end_append
-- Ends the session of an append whose outcome is unknown; a row for as long as the append could still be taken.
SELECT pg_terminate_backend(pid)
FROM pg_stat_activity
WHERE pid = :pid AND backend_start = :backend_start AND clock_timestamp() <= :deadline;

-- name: log_horizon
-- Every transaction with a smaller id has begun: it has ended, or writes just now.
SELECT pg_snapshot_xmax(pg_current_snapshot());

-- name: log_writers
-- The transactions that write to the log just now. Those of an append have this lock before they have an id.
SELECT virtualtransaction AS transaction
FROM pg_locks
WHERE
    locktype = 'relation'
    AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
    AND relation = 'reading_log'::regclass
    AND mode = 'RowExclusiveLock'
    AND granted
    AND pid IS DISTINCT FROM pg_backend_pid();

-- name: end_log_writers
-- Ends the sessions of these transactions.
SELECT pg_terminate_backend(pid)
FROM pg_locks
WHERE locktype = 'virtualxid' AND virtualtransaction = ANY (:transactions::text []);

-- name: unsettled
-- How much the log has: readings, rows, and bytes on disk, those included that can be used again.
SELECT
    coalesce(sum(readings), 0)::bigint AS readings,
    count(*) AS rows,
    pg_total_relation_size('reading_log') AS bytes
FROM reading_log;

-- name: appended_before
-- What each transaction before the horizon has appended, in the order of writing.
SELECT xid, sum(readings) AS readings, count(*) AS rows
FROM reading_log
WHERE xid < :horizon
GROUP BY xid
ORDER BY xid;

-- name: delete_runs
DELETE FROM reading_log WHERE xid BETWEEN :first AND :last;

-- name: vacuum_log
-- The space is used again; it is not given back to the disk, for which readers and writers would have to wait.
VACUUM (TRUNCATE off, PROCESS_TOAST on) reading_log;

-- name: shrink_log
-- Gives the space of a log that has drained back to the disk.
VACUUM (TRUNCATE on, PROCESS_TOAST on) reading_log;

-- name: database_now
SELECT clock_timestamp();
