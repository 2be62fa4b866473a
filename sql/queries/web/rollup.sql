-- name: make_web_lines
INSERT INTO web_line (site_number)
SELECT site_number FROM site
ON CONFLICT DO NOTHING;

-- name: web_lines
SELECT s.site_number, s.timezone, l.mark_day, l.read_day
FROM site AS s
INNER JOIN web_line AS l USING (site_number);

-- name: lock_web_lines
-- Waits for every writer that still uses the old lines.
SELECT pg_advisory_xact_lock(7463007);

-- name: move_web_mark_days
UPDATE web_line AS l
SET mark_day = greatest(l.mark_day, n.day)
FROM unnest(:site_numbers::integer [], :days::date []) AS n (site_number, day)
WHERE l.site_number = n.site_number;

-- name: hold_web_line
-- Keeps the site from being deleted until the transaction ends; no row if it is already gone.
SELECT mark_day, read_day FROM web_line WHERE site_number = :site_number FOR UPDATE;

-- name: web_days_to_roll_up
-- The days of a site that have records, from the line on.
SELECT DISTINCT day
FROM web_record
WHERE site_number = :site_number AND ts >= :start AND day >= :first_day AND day < :before_day
ORDER BY day;

-- name: move_web_read_day
UPDATE web_line SET read_day = :day WHERE site_number = :site_number;

-- name: roll_up_web_days
INSERT INTO web_daily AS d (
    site_number, day, visitors, viewers, pageviews, sessions, bounces, duration_us
)
SELECT :site_number, day, visitors, viewers, pageviews, sessions, bounces, duration_us
FROM web_days_of(:site_number, :days::date [], :start, :finish)
ON CONFLICT (site_number, day) DO UPDATE SET
    visitors = excluded.visitors,
    viewers = excluded.viewers,
    pageviews = excluded.pageviews,
    sessions = excluded.sessions,
    bounces = excluded.bounces,
    duration_us = excluded.duration_us;

-- name: roll_up_web_facets
INSERT INTO web_daily_facet AS d (site_number, day, facet, name, records, visitors)
SELECT :site_number, day, facet, name, records, visitors
FROM web_facets_of(:site_number, :days::date [], :start, :finish)
ON CONFLICT (site_number, day, facet, name) DO UPDATE SET
    records = excluded.records,
    visitors = excluded.visitors;

-- name: forget_web_recent_facets
DELETE FROM web_recent_facet WHERE site_number = :site_number;

-- name: sum_up_web_recent_facets
INSERT INTO web_recent_facet (site_number, facet, name, records_7, records_30, records_90)
SELECT
    l.site_number,
    f.facet,
    f.name,
    coalesce(sum(f.records) FILTER (WHERE f.day >= l.read_day - 6), 0)::bigint,
    coalesce(sum(f.records) FILTER (WHERE f.day >= l.read_day - 29), 0)::bigint,
    sum(f.records)::bigint
FROM web_line AS l
INNER JOIN web_daily_facet AS f
    ON f.site_number = l.site_number AND f.day >= l.read_day - 89 AND f.day < l.read_day
WHERE l.site_number = :site_number
GROUP BY l.site_number, f.facet, f.name;

-- name: any_web_late_mark
-- Some site that has marks.
SELECT site_number FROM web_late_mark LIMIT 1;

-- name: settle_web_late_marks
-- Deletes marks and returns their days. Marks of days without a trusted roll-up need nothing else.
WITH gone AS (
    DELETE FROM web_late_mark
    WHERE ctid = ANY (ARRAY(SELECT ctid FROM web_late_mark WHERE site_number = :site_number LIMIT :max_rows))
    RETURNING day
)

SELECT DISTINCT day FROM gone ORDER BY day;
