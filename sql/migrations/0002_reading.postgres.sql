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
-- A roll-up reads all series for a few hours. Readings arrive nearly in time order, so a block range index finds them
-- at almost no cost to writers.
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
