-- The harness's own statements, in addition to those of the service.

-- name: explain
-- A prefix for another statement. Plan nodes are not timed, because that would cost more than running them.
EXPLAIN (ANALYZE, TIMING off, FORMAT json)

-- name: raw_statistics
SELECT
    count(*) AS sample_count,
    sum(value) AS value_sum,
    min(value) AS value_min,
    max(value) AS value_max
FROM stored_reading
WHERE series_id = :series_id AND ts >= :start AND ts < :finish;

-- name: mean_magnitude
SELECT avg(abs(value)) FROM stored_reading WHERE series_id = :series_id AND ts >= :start AND ts < :finish;

-- name: progress_of_writes
-- Readings stored, in the log or settled, if none overrides another; and the next transaction id. Only transactions that
-- write take an id, so the difference between two moments is the number of writing transactions between them.
SELECT
    (SELECT count(*) FROM stored_reading) + (SELECT coalesce(sum(readings), 0) FROM reading_log)::bigint AS stored,
    pg_snapshot_xmax(pg_current_snapshot())::text::bigint AS next_transaction;

-- name: set_lines_back
-- Makes it look as if the service had been set up before the first reading was taken.
UPDATE rollup_line SET read_line = :line;

-- name: tidy
VACUUM (ANALYZE);

-- name: write_out
CHECKPOINT;

-- name: create_copied_readings
CREATE TABLE copied_reading (
    series_id integer,
    ts timestamptz,
    value double precision NOT NULL,
    latitude double precision,
    longitude double precision,
    x_axis_value double precision,
    metadata text,
    PRIMARY KEY (series_id, ts)
);

-- name: series_of_sensor
SELECT series_id FROM sensor WHERE id = :sensor_id;

-- name: stored_between
-- The number of readings and their sum, settled or not; those in the log win.
SELECT count(*) AS stored, coalesce(sum(value), 0) AS value_sum
FROM (
    -- Sorted, because the planner does not know how many readings are unsettled.
    SELECT DISTINCT ON (series_id, ts) value
    FROM (
        SELECT false AS is_settled, series_id, ts, value
        FROM unsettled_readings(ARRAY(SELECT series_id FROM sensor), :start::timestamptz, :finish::timestamptz)
        UNION ALL
        SELECT true AS is_settled, series_id, ts, value
        FROM stored_reading
        WHERE ts >= :start AND ts < :finish
    ) AS everything
    ORDER BY series_id, ts, is_settled
) AS readings;

-- name: unsettled_readings
-- How many readings the log has.
SELECT coalesce(sum(readings), 0)::bigint FROM reading_log;

-- name: usage
-- How far the write-ahead log has come, and the size of the database without the space of the log of readings; bytes.
SELECT
    pg_current_wal_insert_lsn() - '0/0'::pg_lsn AS wal,
    pg_database_size(current_database()) - pg_total_relation_size('reading_log') AS size,
    pg_total_relation_size('reading_log') AS log_size;

-- name: allow_sensors
UPDATE organization SET sensor_limit = :sensors WHERE organization_id = :organization_id;

-- name: company_of
SELECT company_id FROM organization WHERE organization_id = :organization_id;

-- name: site_number_of
SELECT site_number FROM site WHERE site_id = :site_id;

-- name: store_visits
-- Sessions of three page views some seconds apart, spread evenly over a period. One record in twenty is a custom event.
-- A few pages, referrers, browsers and countries are frequent; most are rare. Days have a fixed UTC offset.
WITH records AS (
    SELECT
        n,
        n / 3 AS session,
        :start::timestamptz + n * ((:finish::timestamptz - :start::timestamptz) / :records::bigint) AS ts,
        n % 20 = 7 AS is_event
    FROM generate_series(0, :records::bigint - 1) AS n
),

dated AS (
    SELECT *, (ts AT TIME ZONE 'UTC' + :offset_hours::integer * interval '1 hour')::date AS day FROM records
)

INSERT INTO web_record (site_number, ts, id, day, visitor, kind, pathname, event, referrer, browser, country)
SELECT
    :site_number,
    ts,
    n,
    day,
    md5(day::text || session % 2500)::uuid,
    (CASE WHEN is_event THEN 'event' ELSE 'pageview' END)::web_record_kind,
    '/page-' || (power(random(), 3) * :pages::integer)::integer,
    CASE WHEN is_event THEN 'event-' || n % 30 END,
    CASE WHEN NOT is_event AND n % 3 = 0 THEN 'site-' || (power(random(), 3) * 300)::integer || '.example' END,
    CASE WHEN NOT is_event THEN 'Browser ' || session % 12 END,
    CASE WHEN NOT is_event THEN chr(65 + (session % 8)::integer) || chr(65 + (session % 5)::integer) END
FROM dated;

-- name: mark_visits
-- Makes everything before today look late, so that the service's job rolls it up.
INSERT INTO web_late_mark (site_number, day)
SELECT DISTINCT r.site_number, r.day
FROM web_record AS r
INNER JOIN web_line AS l USING (site_number)
WHERE r.day < l.mark_day;

-- name: visits_to_roll_up
SELECT
    (SELECT count(*) FROM web_late_mark) AS marks,
    (SELECT count(*) FROM web_line WHERE site_number = :site_number AND read_day > '0001-01-01') AS lines;

-- name: count_records
SELECT count(*) FROM web_record WHERE site_number = :site_number;
