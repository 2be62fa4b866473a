-- name: write_readings
SELECT write_readings(:series_ids, :at_us, :reading_values, :latitude, :longitude, :x_axis_value, :metadata);

-- name: hold_mark_line
SELECT hold_mark_line();

-- name: mark_late_hours
INSERT INTO late_mark (series_id, hour)
SELECT m.series_id, 'epoch'::timestamptz + m.us * interval '1 microsecond'
FROM unnest(:series_ids::integer [], :hours_us::bigint []) AS m (series_id, us);

-- name: newest_readings
-- The newest stored instant of each series that has one, in microseconds since 1970 UTC.
SELECT s.series_id, (extract(epoch FROM r.ts) * 1000000)::bigint AS at_us
FROM unnest(:series_ids::integer []) AS s (series_id)
CROSS JOIN LATERAL (
    SELECT ts FROM reading WHERE series_id = s.series_id ORDER BY ts DESC LIMIT 1
) AS r;

-- name: stored_instants
-- The first stored instants of each series between the first and the last of the given ones, a limited number: the
-- index of the series in the list, from 0, and the instant in microseconds since 1970 UTC. The bounds of all of them
-- serve the planner.
SELECT s.number - 1 AS index, (extract(epoch FROM r.ts) * 1000000)::bigint AS at_us
FROM unnest(:series_ids::integer [], :first_us::bigint [], :last_us::bigint [], :max_rows::bigint [])
    WITH ORDINALITY AS s (series_id, first_us, last_us, max_rows, number)
CROSS JOIN LATERAL (
    SELECT ts
    FROM reading
    WHERE
        series_id = s.series_id
        AND ts >= :start AND ts <= :finish
        AND ts >= 'epoch'::timestamptz + s.first_us * interval '1 microsecond'
        AND ts <= 'epoch'::timestamptz + s.last_us * interval '1 microsecond'
    ORDER BY ts
    LIMIT s.max_rows
) AS r;

-- name: make_staging
CREATE TEMPORARY TABLE IF NOT EXISTS staged_reading (LIKE reading) ON COMMIT DELETE ROWS;

-- name: write_staged
-- Stores what was copied to the staging table. The last write wins, and a repeat that changes nothing writes nothing;
-- values are compared bit by bit, since 0 equals −0. Rows are in order, since concurrent writers could otherwise
-- deadlock.
INSERT INTO reading AS stored
SELECT *
FROM staged_reading
ORDER BY series_id, ts
ON CONFLICT (series_id, ts) DO UPDATE SET
    value = excluded.value,
    latitude = excluded.latitude,
    longitude = excluded.longitude,
    x_axis_value = excluded.x_axis_value,
    metadata = excluded.metadata
WHERE row(stored.*)::record *<> row(excluded.*)::record;

-- name: spend_readings
SELECT spend_readings(:company_id, :readings, :together);
