-- Stores readings, given as columns, with each (series, instant) once and sorted by it, since concurrent writers could
-- otherwise deadlock. Instants are microseconds since 1970 UTC. The last write wins, and a repeat that changes nothing
-- writes nothing. Values are compared bit by bit, since 0 equals −0, but the last of the two must win.
CREATE OR REPLACE FUNCTION write_readings(
    series_ids integer [],
    at_us bigint [],
    reading_values double precision [],
    latitudes double precision [],
    longitudes double precision [],
    x_axis_values double precision [],
    metadata_texts text []
) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    line CONSTANT timestamptz := hold_mark_line();
    line_us CONSTANT bigint := extract(epoch FROM line) * 1000000;
BEGIN
    INSERT INTO late_mark (series_id, hour)
    SELECT DISTINCT w.series_id, date_bin('1 hour', 'epoch'::timestamptz + w.us * interval '1 microsecond', 'epoch')
    FROM unnest(series_ids, at_us) AS w (series_id, us)
    WHERE w.us < line_us;

    INSERT INTO reading AS stored (series_id, ts, value, latitude, longitude, x_axis_value, metadata)
    SELECT w.series_id, 'epoch'::timestamptz + w.us * interval '1 microsecond', w.val, w.lat, w.lon, w.x, w.meta
    FROM unnest(
        series_ids, at_us, reading_values, latitudes, longitudes, x_axis_values, metadata_texts
    ) AS w (series_id, us, val, lat, lon, x, meta)
    ON CONFLICT (series_id, ts) DO UPDATE SET
        value = excluded.value,
        latitude = excluded.latitude,
        longitude = excluded.longitude,
        x_axis_value = excluded.x_axis_value,
        metadata = excluded.metadata
    WHERE row(stored.value, stored.latitude, stored.longitude, stored.x_axis_value, stored.metadata)::record
        *<> row(excluded.value, excluded.latitude, excluded.longitude, excluded.x_axis_value, excluded.metadata)::record;
END
$$;
