-- name: write_web_records
-- Answers which of the records are refused, counted from 1, and whose limit it is: `address` or `site`.
SELECT place, refusal
FROM write_web_records(
    :site_numbers, :at_us, :ids, :days, :visitors, :kinds, :pathnames, :events, :referrers, :browsers, :countries,
    :addresses, :per_site, :per_address, :most_names
);

-- name: address_key
-- The key of a minute, made by whoever comes first.
INSERT INTO address_key AS k (minute, key) VALUES (:minute, :key)
ON CONFLICT (minute) DO UPDATE SET key = k.key
RETURNING key;

-- name: forget_collected
-- Counts of minutes that are over, with the keys that they were made with, and names of days that get no records any more.
WITH line AS (
    SELECT (extract(epoch FROM now()) / 60)::integer - 2 AS minute, (now() - interval '2 days')::date AS day
),

keys AS (
    DELETE FROM address_key AS k USING line WHERE k.minute < line.minute
),

addresses AS (
    DELETE FROM address_usage AS u USING line WHERE u.minute < line.minute
),

sites AS (
    DELETE FROM site_usage AS u USING line WHERE u.minute < line.minute
),

names AS (
    DELETE FROM web_name AS n USING line WHERE n.day < line.day
)

DELETE FROM web_name_count AS c USING line WHERE c.day < line.day;

-- name: site_of_id
SELECT site_number, company_id, site_id, domain, timezone, is_active FROM site WHERE site_id = :site_id;

-- name: sites_of_company
SELECT
    site_id AS "siteId", name, domain, is_active AS "isActive",
    to_char(created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') AS "createdAt"
FROM site
WHERE company_id = :company_id
ORDER BY created_at, site_id;

-- name: make_visitor_key
-- Whoever comes first makes it; all others wait for that commit and then read the same.
INSERT INTO visitor_key (site_number, day, key)
SELECT site_number, :day, :key FROM site WHERE site_number = :site_number
ON CONFLICT DO NOTHING;

-- name: read_visitor_key
SELECT key, extract(epoch FROM now() - created_at)::double precision AS age_seconds
FROM visitor_key
WHERE site_number = :site_number AND day = :day;

-- name: destroy_visitor_keys
DELETE FROM visitor_key WHERE created_at <= now() - interval '2 days';

-- name: days_without_web_roll_up
-- Of a range of site days, those that only records answer, and whether the sums of ranges go up to the day.
SELECT d.day::date AS day, d.day = l.read_day AS summed_up_before
FROM generate_series(:first_day::date, :last_day::date, interval '1 day') AS d (day)
LEFT JOIN web_line AS l ON l.site_number = :site_number
WHERE
    l.read_day IS NULL
    OR d.day >= l.read_day
    OR EXISTS (SELECT FROM web_late_mark AS m WHERE m.site_number = :site_number AND m.day = d.day)
ORDER BY d.day;

-- name: web_days
-- The figures of each day of a range that has records; days without roll-up are in `raw_days`, within start and finish.
SELECT day, visitors, viewers, pageviews, sessions, bounces, duration_us
FROM web_daily
WHERE
    site_number = :site_number AND day >= :first_day AND day <= :last_day
    AND NOT (day = ANY (:raw_days::date []))
UNION ALL
SELECT day, visitors, viewers, pageviews, sessions, bounces, duration_us
FROM web_days_of(:site_number, :raw_days::date [], :start, :finish);

-- name: web_top
-- The largest names of each facet asked for, at most so many, ties by name.
WITH every AS (
    SELECT facet, name, records
    FROM web_daily_facet
    WHERE
        site_number = :site_number AND day >= :first_day AND day <= :last_day
        AND NOT (day = ANY (:raw_days::date [])) AND facet = ANY (:facets::text [])
    UNION ALL
    SELECT facet, name, records
    FROM web_facets_of(:site_number, :raw_days::date [], :start, :finish)
    WHERE facet = ANY (:facets::text [])
),

summed AS (
    SELECT facet, name, sum(records)::bigint AS records FROM every GROUP BY facet, name
),

placed AS (
    SELECT facet, name, records, row_number() OVER (PARTITION BY facet ORDER BY records DESC, name) AS place
    FROM summed
)

SELECT facet, name, records FROM placed WHERE place <= :most ORDER BY facet, place;

-- name: web_top_of_range
-- The same for a range of 7, 30 or 90 days whose last day alone has no roll-up: what stands before it is summed up.
WITH every AS (
    SELECT
        facet,
        name,
        CASE :last_day::date - :first_day::date
            WHEN 6 THEN records_7
            WHEN 29 THEN records_30
            WHEN 89 THEN records_90
        END AS records
    FROM web_recent_facet
    WHERE site_number = :site_number AND facet = ANY (:facets::text [])
    UNION ALL
    SELECT facet, name, records
    FROM web_facets_of(:site_number, :raw_days::date [], :start, :finish)
    WHERE facet = ANY (:facets::text [])
),

summed AS (
    SELECT facet, name, sum(records)::bigint AS records FROM every GROUP BY facet, name HAVING sum(records) > 0
),

placed AS (
    SELECT facet, name, records, row_number() OVER (PARTITION BY facet ORDER BY records DESC, name) AS place
    FROM summed
)

SELECT facet, name, records FROM placed WHERE place <= :most ORDER BY facet, place;

-- name: web_page_days
-- Page views of one page and its visitors on each day that has any.
SELECT f.day, f.records AS pageviews, f.visitors AS viewers
FROM generate_series(:first_day::date, :last_day::date, interval '1 day') AS d (day)
INNER JOIN web_daily_facet AS f
    ON f.site_number = :site_number AND f.day = d.day::date AND f.facet = 'page' AND f.name = :pathname
WHERE NOT (f.day = ANY (:raw_days::date []))
UNION ALL
SELECT day, records, visitors
FROM web_facets_of(:site_number, :raw_days::date [], :start, :finish)
WHERE facet = 'page' AND name = :pathname;

-- name: web_active_pages
-- Visitors with a page view or event since an instant, each under the page of the latest.
SELECT pathname AS path, count(*) AS visitors
FROM (
    SELECT DISTINCT ON (visitor) visitor, pathname
    FROM web_record
    WHERE site_number = :site_number AND ts >= :since AND kind <> 'leave'
    ORDER BY visitor, ts DESC, id DESC
) AS latest
GROUP BY pathname
ORDER BY visitors DESC, path;

-- name: make_web_lines
INSERT INTO web_line (site_number)
SELECT site_number FROM site
ON CONFLICT DO NOTHING;

-- name: web_lines
SELECT s.site_number, s.timezone, l.mark_day, l.read_day
FROM site AS s
INNER JOIN web_line AS l USING (site_number);

-- name: lock_web_lines
-- Waits for every writer that still goes by the old lines.
SELECT pg_advisory_xact_lock(7463007);

-- name: move_web_mark_days
UPDATE web_line AS l
SET mark_day = greatest(l.mark_day, n.day)
FROM unnest(:site_numbers::integer [], :days::date []) AS n (site_number, day)
WHERE l.site_number = n.site_number;

-- name: hold_web_line
-- Keeps the site from being deleted until the transaction ends; no row where it is gone already.
SELECT mark_day, read_day FROM web_line WHERE site_number = :site_number FOR UPDATE;

-- name: web_days_to_roll_up
-- Days of a site that have records, from the line on.
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
-- A site that has marks.
SELECT site_number FROM web_late_mark LIMIT 1;

-- name: settle_web_late_marks
-- Answers the days of the marks that it takes; those of days that no roll-up is trusted for just go.
WITH gone AS (
    DELETE FROM web_late_mark
    WHERE ctid = ANY (ARRAY(SELECT ctid FROM web_late_mark WHERE site_number = :site_number LIMIT :most))
    RETURNING day
)

SELECT DISTINCT day FROM gone ORDER BY day;
