-- What keeps statistics exact while late readings stream in; the protocol stands in docs/decisions.md, "Exact
-- statistics". Advisory locks: 7463001 migrations, 7463002 the mark line, 7463003 the maintenance job, 7463004 partitions,
-- 7463005 with a company id: its sensors made on first sight.

-- Writers mark what they change before mark_line; readers trust roll-ups before read_line, which is never after it.
CREATE TABLE rollup_line (
    single boolean PRIMARY KEY DEFAULT true CHECK (single),
    mark_line timestamptz NOT NULL,
    read_line timestamptz NOT NULL,
    CHECK (read_line <= mark_line)
);
-- No reading is older than the table, so the roll-ups of all hours up to now are right: they are empty.
INSERT INTO rollup_line (mark_line, read_line)
VALUES (date_trunc('hour', now(), 'UTC'), date_trunc('hour', now(), 'UTC'));

-- Append-only: an hour that changed twice stands here twice, and each row goes only with a repair that has seen it.
CREATE TABLE late_mark (
    series_id integer NOT NULL,
    hour timestamptz NOT NULL
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000);
CREATE INDEX late_mark_series ON late_mark (series_id, hour);

-- The line that decides what a transaction has to mark. The lock is held to its end, so the line cannot pass it; being
-- a statement of its own, the line is read after the lock has been had.
CREATE FUNCTION hold_mark_line() RETURNS timestamptz LANGUAGE plpgsql AS $$
DECLARE
    line timestamptz;
BEGIN
    PERFORM pg_advisory_xact_lock_shared(7463002);
    SELECT mark_line INTO STRICT line FROM rollup_line;
    RETURN line;
END
$$;

-- Stores readings given in columns, each (series, instant) once, sorted by it: crossing writers would deadlock
-- otherwise. Instants are microseconds since 1970, UTC. The last write wins; a repeat that changes nothing writes nothing.
CREATE FUNCTION write_readings(
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
    WHERE (stored.value, stored.latitude, stored.longitude, stored.x_axis_value, stored.metadata)
        IS DISTINCT FROM
        (excluded.value, excluded.latitude, excluded.longitude, excluded.x_axis_value, excluded.metadata);
END
$$;
