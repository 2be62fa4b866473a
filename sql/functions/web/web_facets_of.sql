-- The page views and events of a site's days, by property. A query that selects one facet computes only that one.
CREATE OR REPLACE FUNCTION web_facets_of(site integer, site_days date [], start timestamptz, finish timestamptz)
RETURNS TABLE (day date, facet text, name text, records bigint, visitors bigint) LANGUAGE sql STABLE AS $$
    SELECT p.day, 'page'::text, p.pathname, sum(p.records)::bigint, count(*)
    FROM (
        SELECT r.day, r.pathname, r.visitor, count(*) AS records
        FROM web_record AS r
        WHERE
            r.site_number = site AND r.ts >= start AND r.ts < finish AND r.day = ANY (site_days)
            AND r.kind = 'pageview'
        GROUP BY r.day, r.pathname, r.visitor
    ) AS p
    GROUP BY p.day, p.pathname
    UNION ALL
    SELECT r.day, 'referrer'::text, r.referrer, count(*), null::bigint
    FROM web_record AS r
    WHERE
        r.site_number = site AND r.ts >= start AND r.ts < finish AND r.day = ANY (site_days)
        AND r.referrer IS NOT NULL
    GROUP BY r.day, r.referrer
    UNION ALL
    SELECT r.day, 'browser'::text, r.browser, count(*), null::bigint
    FROM web_record AS r
    WHERE
        r.site_number = site AND r.ts >= start AND r.ts < finish AND r.day = ANY (site_days)
        AND r.browser IS NOT NULL
    GROUP BY r.day, r.browser
    UNION ALL
    SELECT r.day, 'country'::text, r.country, count(*), null::bigint
    FROM web_record AS r
    WHERE
        r.site_number = site AND r.ts >= start AND r.ts < finish AND r.day = ANY (site_days)
        AND r.country IS NOT NULL
    GROUP BY r.day, r.country
    UNION ALL
    SELECT r.day, 'event'::text, r.event, count(*), null::bigint
    FROM web_record AS r
    WHERE
        r.site_number = site AND r.ts >= start AND r.ts < finish AND r.day = ANY (site_days)
        AND r.event IS NOT NULL
    GROUP BY r.day, r.event
$$;
