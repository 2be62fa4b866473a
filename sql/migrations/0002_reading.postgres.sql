-- Readings as a table partitioned by month, hourly and daily roll-up tables.

CREATE TABLE reading (
    series_id integer NOT NULL,
    ts timestamptz NOT NULL,
    value double precision NOT NULL,
    latitude double precision,
    longitude double precision,
    x_axis_value double precision,
    metadata text,
    PRIMARY KEY (series_id, ts)
) PARTITION BY RANGE (ts);
-- Rolling up reads all series of a few hours; readings arrive nearly in time order, so a block range index finds them
-- at almost no cost to the writers.
CREATE INDEX reading_ts ON reading USING brin (ts) WITH (pages_per_range = 32);

CREATE TABLE reading_hourly (
    series_id integer NOT NULL,
    bucket timestamptz NOT NULL,
    sample_count bigint NOT NULL,
    value_sum double precision NOT NULL,
    value_min double precision,
    value_max double precision,
    PRIMARY KEY (series_id, bucket)
);
CREATE TABLE reading_daily (LIKE reading_hourly INCLUDING ALL);

-- Makes the partitions for readings at these instants (microseconds since 1970, UTC). A partition is made as a table
-- of its own and then attached, which unlike CREATE TABLE … PARTITION OF stops neither readers nor writers.
CREATE FUNCTION prepare_reading_storage(at_us bigint []) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    month timestamptz;
    partition text;
BEGIN
    PERFORM pg_advisory_xact_lock(7463004);
    FOR month IN
        SELECT DISTINCT date_trunc('month', 'epoch'::timestamptz + us * interval '1 microsecond', 'UTC')
        FROM unnest(at_us) AS us
    LOOP
        partition := 'reading_' || to_char(month AT TIME ZONE 'UTC', 'YYYY_MM');
        IF to_regclass(partition) IS NULL THEN
            EXECUTE format('CREATE TABLE %I (LIKE reading INCLUDING ALL)', partition);
            EXECUTE format(
                'ALTER TABLE reading ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)',
                partition, month, (month AT TIME ZONE 'UTC' + interval '1 month') AT TIME ZONE 'UTC'
            );
        END IF;
    END LOOP;
END
$$;

-- Deletes what is stored of a series; its number is never used again.
CREATE FUNCTION forget_series(series integer) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM reading WHERE series_id = series;
    DELETE FROM reading_hourly WHERE series_id = series;
    DELETE FROM reading_daily WHERE series_id = series;
    DELETE FROM late_mark WHERE series_id = series;
END
$$;
