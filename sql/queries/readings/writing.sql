-- name: write_readings
SELECT write_readings(:series_ids, :at_us, :reading_values, :latitude, :longitude, :x_axis_value, :metadata);

-- name: hold_mark_line
SELECT hold_mark_line();

-- name: mark_late_hours
INSERT INTO late_mark (series_id, hour)
SELECT m.series_id, 'epoch'::timestamptz + m.us * interval '1 microsecond'
FROM unnest(:series_ids::integer [], :hours_us::bigint []) AS m (series_id, us);

-- name: newest_readings
-- The newest instant that is stored of each series, where there is one; microseconds since 1970.
SELECT s.series_id, (extract(epoch FROM r.ts) * 1000000)::bigint AS at_us
FROM unnest(:series_ids::integer []) AS s (series_id)
CROSS JOIN LATERAL (
    SELECT ts FROM reading WHERE series_id = s.series_id ORDER BY ts DESC LIMIT 1
) AS r;

-- name: stored_instants
-- What is stored of each series from the first to the last of its instants, the first so many: the place of the series
-- in the list, from 0, and the instant; microseconds since 1970. The bounds of all of them are there to plan with.
SELECT s.place - 1 AS place, (extract(epoch FROM r.ts) * 1000000)::bigint AS at_us
FROM unnest(:series_ids::integer [], :first_us::bigint [], :last_us::bigint [], :most::bigint [])
    WITH ORDINALITY AS s (series_id, first_us, last_us, most, place)
CROSS JOIN LATERAL (
    SELECT ts
    FROM reading
    WHERE
        series_id = s.series_id
        AND ts >= :start AND ts <= :finish
        AND ts >= 'epoch'::timestamptz + s.first_us * interval '1 microsecond'
        AND ts <= 'epoch'::timestamptz + s.last_us * interval '1 microsecond'
    ORDER BY ts
    LIMIT s.most
) AS r;

-- name: make_staging
CREATE TEMPORARY TABLE IF NOT EXISTS staged_reading (LIKE reading) ON COMMIT DELETE ROWS;

-- name: write_staged
-- Stores what was copied to the staging table; the last write wins, a repeat that changes nothing writes nothing: bit
-- for bit, since 0 equals −0. In order, since crossing writers would deadlock otherwise.
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

-- name: delete_readings
SELECT delete_readings(:series_id, :start, :finish);

-- name: spend_readings
SELECT spend_readings(:company_id, :readings, :together);
