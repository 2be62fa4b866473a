-- name: lock_store
-- Whoever changes the store holds this lock, for a turn.
SELECT pg_advisory_lock(7463006);

-- name: unlock_store
SELECT pg_advisory_unlock(7463006);

-- name: settled_xid
SELECT xid FROM settled;

-- name: note_settled
UPDATE settled SET xid = greatest(xid, :xid);

-- name: is_of_another_server
-- Whether there are transaction ids that this server has yet to give. None of its own is as great as the snapshot's xmax.
SELECT
    EXISTS (SELECT FROM reading_log WHERE xid >= pg_snapshot_xmax(pg_current_snapshot()))
    OR EXISTS (SELECT FROM settled WHERE xid >= pg_snapshot_xmax(pg_current_snapshot()));

-- name: begin_anew
UPDATE settled SET xid = '0';

-- name: known_series
-- Those of some series that still belong to a sensor, as one array.
SELECT coalesce(array_agg(series_id), '{}') FROM sensor WHERE series_id = ANY (:series_ids::integer []);

-- name: read_line
SELECT read_line FROM rollup_line;

-- name: move_read_line
UPDATE rollup_line SET read_line = :line;

-- name: newest_stored
-- Those of some series that have a stored reading, and when each has its newest (microseconds since 1970), as arrays.
SELECT
    coalesce(array_agg(series_id), '{}') AS series_ids,
    coalesce(array_agg(microseconds_of(ts)), '{}') AS newest_at
FROM newest_stored
WHERE series_id = ANY (:series_ids::integer []);

-- name: note_newest_stored
-- Notes the newest of some readings that were stored, one of each series.
INSERT INTO newest_stored AS n (series_id, ts, value)
SELECT series_id, instant_of(at), newest_value
FROM
    unnest(:series_ids::integer [], :newest_at::bigint [], :newest_values::double precision [])
        AS r (series_id, at, newest_value)
ON CONFLICT (series_id) DO UPDATE SET ts = excluded.ts, value = excluded.value
WHERE excluded.ts >= n.ts;

-- name: first_stored_at
-- When the first stored reading of a series with start ≤ ts < finish is; no row if there is none.
SELECT ts FROM first_stored(:series_id, :start, :finish, 1) ORDER BY ts LIMIT 1;

-- name: renew_newest_stored
-- Looks up anew which stored reading of a series is its newest.
WITH newest AS (
    SELECT ts, value FROM last_stored(:series_id, 'epoch', 'infinity', 1) ORDER BY ts DESC LIMIT 1
),

gone AS (
    DELETE FROM newest_stored WHERE series_id = :series_id AND NOT EXISTS (SELECT FROM newest)
)

INSERT INTO newest_stored (series_id, ts, value)
SELECT :series_id, ts, value FROM newest
ON CONFLICT (series_id) DO UPDATE SET ts = excluded.ts, value = excluded.value;

-- name: forgotten_series
SELECT series_id FROM forgotten_series LIMIT :max_rows;

-- name: forget_series
SELECT forget_series(:series_ids::integer []);

-- part: columns_without_nulls
-- All columns of a row of readings; absent numbers are NaN, as in memory, so that rows without texts have one length.
series_id,
ts,
value,
coalesce(latitude, 'NaN') AS latitude,
coalesce(longitude, 'NaN') AS longitude,
coalesce(x_axis_value, 'NaN') AS x_axis_value,
metadata

-- name: finish_conversion
SELECT finish_conversion();
