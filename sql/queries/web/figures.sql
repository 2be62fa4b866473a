-- name: sites_of_company
SELECT
    site_id AS "siteId", name, domain, is_active AS "isActive",
    to_char(created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') AS "createdAt"
FROM site
WHERE company_id = :company_id
ORDER BY created_at, site_id;

-- name: days_without_web_roll_up
-- The days of a range that must be computed from records, and whether the sums of ranges end just before the day.
SELECT d.day::date AS day, d.day = l.read_day AS summed_up_before
FROM generate_series(:first_day::date, :last_day::date, interval '1 day') AS d (day)
LEFT JOIN web_line AS l ON l.site_number = :site_number
WHERE
    l.read_day IS NULL
    OR d.day >= l.read_day
    OR EXISTS (SELECT FROM web_late_mark AS m WHERE m.site_number = :site_number AND m.day = d.day)
ORDER BY d.day;

-- name: web_days
-- The figures of each day of a range that has records. Days without roll-ups are in `raw_days`, between start and
-- finish.
SELECT day, visitors, viewers, pageviews, sessions, bounces, duration_us
FROM web_daily
WHERE
    site_number = :site_number AND day >= :first_day AND day <= :last_day
    AND NOT (day = ANY (:raw_days::date []))
UNION ALL
SELECT day, visitors, viewers, pageviews, sessions, bounces, duration_us
FROM web_days_of(:site_number, :raw_days::date [], :start, :finish);

-- part: facets_of_raw_days
SELECT facet, name, records
FROM web_facets_of(:site_number, :raw_days::date [], :start, :finish)
WHERE facet = ANY (:facets::text [])

-- part: largest_of_each_facet
-- Of `every` name with its records, the largest in each facet, a limited number, with ties ordered by name.
summed AS (
    SELECT facet, name, sum(records)::bigint AS records FROM every GROUP BY facet, name HAVING sum(records) > 0
),

ranked AS (
    SELECT facet, name, records, row_number() OVER (PARTITION BY facet ORDER BY records DESC, name) AS number
    FROM summed
)

SELECT facet, name, records FROM ranked WHERE number <= :max_rows ORDER BY facet, number

-- name: web_top
-- The largest names in each requested facet, a limited number, with ties ordered by name.
WITH every AS (
    SELECT facet, name, records
    FROM web_daily_facet
    WHERE
        site_number = :site_number AND day >= :first_day AND day <= :last_day
        AND NOT (day = ANY (:raw_days::date [])) AND facet = ANY (:facets::text [])
    UNION ALL
    {facets_of_raw_days}
),

{largest_of_each_facet};

-- name: web_top_of_range
-- The same for a range of 7, 30 or 90 days of which only the last has no roll-up: the days before it are already
-- summed.
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
    {facets_of_raw_days}
),

{largest_of_each_facet};

-- name: web_page_days
-- The page views and visitors of one page, on each day that has any.
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
-- Visitors with a page view or event since an instant, each counted at the page of the latest one.
SELECT pathname AS path, count(*) AS visitors
FROM (
    SELECT DISTINCT ON (visitor) visitor, pathname
    FROM web_record
    WHERE site_number = :site_number AND ts >= :since AND kind <> 'leave'
    ORDER BY visitor, ts DESC, id DESC
) AS latest
GROUP BY pathname
ORDER BY visitors DESC, path;
