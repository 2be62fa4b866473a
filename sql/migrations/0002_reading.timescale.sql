-- Readings as a hypertable, hourly and daily continuous aggregates over it.

CREATE EXTENSION IF NOT EXISTS timescaledb;

CREATE TABLE reading (
    series_id integer NOT NULL,
    ts timestamptz NOT NULL,
    value double precision NOT NULL,
    latitude double precision,
    longitude double precision,
    x_axis_value double precision,
    metadata text,
    PRIMARY KEY (series_id, ts)
);
SELECT create_hypertable('reading', by_range('ts', INTERVAL '7 days'), create_default_indexes => false);
-- A refresh reads all series for a few hours. Readings arrive nearly in time order, so a block range index finds them
-- at almost no cost to writers.
CREATE INDEX reading_ts ON reading USING brin (ts) WITH (pages_per_range = 32);

-- Materialized only, and refreshed only by Tidemark: see docs/decisions.md, "Exact statistics". With few, large chunks,
-- planning a year's statistics takes little time.
CREATE MATERIALIZED VIEW reading_hourly_aggregate WITH (
    timescaledb.continuous, timescaledb.materialized_only = true, timescaledb.chunk_interval = '364 days'
) AS
SELECT
    series_id,
    time_bucket(INTERVAL '1 hour', ts) AS bucket,
    count(*) AS sample_count,
    sum(value) AS value_sum,
    min(value) AS value_min,
    max(value) AS value_max
FROM reading
GROUP BY series_id, time_bucket(INTERVAL '1 hour', ts)
WITH NO DATA;

CREATE MATERIALIZED VIEW reading_daily_aggregate WITH (
    timescaledb.continuous, timescaledb.materialized_only = true, timescaledb.chunk_interval = '3640 days'
) AS
SELECT
    series_id,
    time_bucket(INTERVAL '1 day', bucket) AS bucket,
    sum(sample_count)::bigint AS sample_count,
    sum(value_sum) AS value_sum,
    min(value_min) AS value_min,
    max(value_max) AS value_max
FROM reading_hourly_aggregate
GROUP BY series_id, time_bucket(INTERVAL '1 day', bucket)
WITH NO DATA;

-- Recomputed buckets that changed after they were materialized. They take precedence over the aggregate's own rows
-- until a refresh of their window has absorbed them.
CREATE TABLE reading_hourly_repair (
    series_id integer NOT NULL,
    bucket timestamptz NOT NULL,
    sample_count bigint NOT NULL,
    value_sum double precision NOT NULL,
    value_min double precision,
    value_max double precision,
    repaired_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (series_id, bucket)
);
CREATE INDEX reading_hourly_repair_bucket ON reading_hourly_repair (bucket);
CREATE TABLE reading_daily_repair (LIKE reading_hourly_repair INCLUDING ALL);

CREATE VIEW reading_hourly AS
SELECT
    a.series_id,
    a.bucket,
    a.sample_count,
    a.value_sum,
    a.value_min,
    a.value_max
FROM reading_hourly_aggregate AS a
WHERE NOT EXISTS (
    SELECT FROM reading_hourly_repair AS r WHERE r.series_id = a.series_id AND r.bucket = a.bucket
)
UNION ALL
SELECT
    series_id,
    bucket,
    sample_count,
    value_sum,
    value_min,
    value_max
FROM reading_hourly_repair;

CREATE VIEW reading_daily AS
SELECT
    a.series_id,
    a.bucket,
    a.sample_count,
    a.value_sum,
    a.value_min,
    a.value_max
FROM reading_daily_aggregate AS a
WHERE NOT EXISTS (
    SELECT FROM reading_daily_repair AS r WHERE r.series_id = a.series_id AND r.bucket = a.bucket
)
UNION ALL
SELECT
    series_id,
    bucket,
    sample_count,
    value_sum,
    value_min,
    value_max
FROM reading_daily_repair;
