-- Stores records, given as columns and sorted by (site, instant, id), except those that are already stored and those of
-- sites that no longer exist. Returns the refused ones, as place counted from 1 and the limit that they exceed,
-- `address` or `site`. Names beyond the limit of a site's day become `(other)`. Each statement sees what was committed
-- before it, so it sees lines, sites and names as they are after the locks were acquired; locks are held until the
-- commit.
CREATE OR REPLACE FUNCTION write_web_records(
    site_numbers integer [],
    at_us bigint [],
    ids bigint [],
    days date [],
    visitors uuid [],
    kinds text [],
    pathnames text [],
    events text [],
    referrers text [],
    browsers text [],
    countries text [],
    addresses uuid [],
    per_site bigint,
    per_address bigint,
    most_names integer
) RETURNS TABLE (place bigint, refusal text) LANGUAGE plpgsql
SET plan_cache_mode = force_generic_plan SET enable_seqscan = off
AS $$
DECLARE
    refusals CONSTANT text [] := spend_web_records(site_numbers, at_us, addresses, per_site, per_address);
BEGIN
    PERFORM pg_advisory_xact_lock_shared(7463007);

    IF EXISTS (
        SELECT FROM new_web_names(site_numbers, days, pathnames, events, referrers, browsers, refusals)
    ) THEN
        PERFORM pg_advisory_xact_lock(7463011, s.site_number)
        FROM (SELECT DISTINCT u.site_number FROM unnest(site_numbers) AS u (site_number) ORDER BY u.site_number) AS s;

        WITH numbered AS (
            SELECT
                n.site_number, n.day, n.facet, n.name,
                row_number() OVER (PARTITION BY n.site_number, n.day, n.facet ORDER BY n.name) AS number
            FROM new_web_names(site_numbers, days, pathnames, events, referrers, browsers, refusals) AS n
        ),

        admitted AS (
            INSERT INTO web_name AS h (site_number, day, facet, name)
            SELECT n.site_number, n.day, n.facet, n.name
            FROM numbered AS n
            LEFT JOIN web_name_count AS c
                ON c.site_number = n.site_number AND c.day = n.day AND c.facet = n.facet
            WHERE n.number + coalesce(c.names, 0) <= most_names
            RETURNING h.site_number, h.day, h.facet
        )

        INSERT INTO web_name_count AS c (site_number, day, facet, names)
        SELECT a.site_number, a.day, a.facet, count(*)
        FROM admitted AS a
        GROUP BY a.site_number, a.day, a.facet
        ON CONFLICT (site_number, day, facet) DO UPDATE SET names = c.names + excluded.names;

        pathnames := web_names_or_other(site_numbers, days, 'page', pathnames);
        events := web_names_or_other(site_numbers, days, 'event', events);
        referrers := web_names_or_other(site_numbers, days, 'referrer', referrers);
        browsers := web_names_or_other(site_numbers, days, 'browser', browsers);
    END IF;

    INSERT INTO web_late_mark (site_number, day)
    SELECT DISTINCT w.site_number, w.day
    FROM unnest(site_numbers, days, refusals) AS w (site_number, day, refusal)
    INNER JOIN web_line AS l USING (site_number)
    WHERE w.refusal IS NULL AND w.day < l.mark_day;

    INSERT INTO web_record (
        site_number, ts, id, day, visitor, kind, pathname, event, referrer, browser, country
    )
    SELECT
        w.site_number,
        'epoch'::timestamptz + w.us * interval '1 microsecond',
        w.id,
        w.day,
        w.visitor,
        w.kind::web_record_kind,
        w.pathname,
        w.event,
        w.referrer,
        w.browser,
        w.country
    FROM unnest(
        site_numbers, at_us, ids, days, visitors, kinds, pathnames, events, referrers, browsers, countries, refusals
    ) AS w (site_number, us, id, day, visitor, kind, pathname, event, referrer, browser, country, refusal)
    WHERE w.refusal IS NULL AND EXISTS (SELECT FROM site WHERE site.site_number = w.site_number)
    ON CONFLICT (site_number, ts, id) DO NOTHING;

    RETURN QUERY
    SELECT r.place, r.refusal FROM unnest(refusals) WITH ORDINALITY AS r (refusal, place) WHERE r.refusal IS NOT NULL;
END
$$;
