-- Web analytics: roll-ups by site day, the lines and marks that keep them exact, and the keys of visitors. Advisory lock
-- 7463007: the lines.

-- Roll-ups by site day; figures of a day without records have no row. `viewers` are visitors with a page view.
CREATE TABLE web_daily (
    site_number integer NOT NULL,
    day date NOT NULL,
    visitors bigint NOT NULL,
    viewers bigint NOT NULL,
    pageviews bigint NOT NULL,
    sessions bigint NOT NULL,
    bounces bigint NOT NULL,
    duration_us bigint NOT NULL,
    PRIMARY KEY (site_number, day)
);

-- What page views (and of facet `event`: custom events) of a day came to by one of their properties: `page`, `referrer`,
-- `browser`, `country`, `event`. Visitors are counted for pages alone.
CREATE TABLE web_daily_facet (
    site_number integer NOT NULL,
    day date NOT NULL,
    facet text COLLATE "C" NOT NULL,
    name text COLLATE "C" NOT NULL,
    records bigint NOT NULL,
    visitors bigint,
    PRIMARY KEY (site_number, day, facet, name)
);

-- The facets of the days before a site's read_day, summed up: of as many as make a range together with the day itself.
CREATE TABLE web_recent_facet (
    site_number integer NOT NULL,
    facet text COLLATE "C" NOT NULL,
    name text COLLATE "C" NOT NULL,
    records_7 bigint NOT NULL,
    records_30 bigint NOT NULL,
    records_90 bigint NOT NULL,
    PRIMARY KEY (site_number, facet, name)
);

-- Writers mark a site's days before mark_day; readers trust roll-ups before read_day, which is never after it. The
-- protocol is that of readings: docs/decisions.md, "Exact web analytics". A site without a line has no roll-ups.
CREATE TABLE web_line (
    site_number integer PRIMARY KEY REFERENCES site ON DELETE CASCADE,
    mark_day date NOT NULL DEFAULT '0001-01-01',
    read_day date NOT NULL DEFAULT '0001-01-01',
    CHECK (read_day <= mark_day)
);

-- Append-only, like late_mark.
CREATE TABLE web_late_mark (
    site_number integer NOT NULL,
    day date NOT NULL
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000);
CREATE INDEX web_late_mark_site ON web_late_mark (site_number, day);

-- The random keys that make visitors of addresses. Vacuumed as soon as one is destroyed, so that it is gone from the disk.
CREATE TABLE visitor_key (
    site_number integer NOT NULL REFERENCES site ON DELETE CASCADE,
    day date NOT NULL,
    key bytea NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (site_number, day)
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 0);

-- The figures of site days out of their records; start and finish are instants that enclose those days. A session is a
-- visitor's consecutive records no more than 30 minutes apart.
CREATE FUNCTION web_days_of(site integer, site_days date [], start timestamptz, finish timestamptz)
RETURNS TABLE (
    day date,
    visitors bigint,
    viewers bigint,
    pageviews bigint,
    sessions bigint,
    bounces bigint,
    duration_us bigint
) LANGUAGE sql STABLE AS $$
    SELECT
        v.day,
        count(*),
        count(*) FILTER (WHERE v.pageviews > 0),
        sum(v.pageviews)::bigint,
        sum(v.sessions)::bigint,
        sum(v.bounces)::bigint,
        (extract(epoch FROM sum(v.duration)) * 1000000)::bigint
    FROM (
        SELECT
            s.day,
            s.visitor,
            sum(s.pageviews)::bigint AS pageviews,
            count(*) AS sessions,
            count(*) FILTER (WHERE s.pageviews = 1 AND s.events = 0) AS bounces,
            sum(s.duration) AS duration
        FROM (
            SELECT
                n.day,
                n.visitor,
                count(*) FILTER (WHERE n.kind = 'pageview') AS pageviews,
                count(*) FILTER (WHERE n.kind = 'event') AS events,
                max(n.ts) - min(n.ts) AS duration
            FROM (
                SELECT
                    b.day,
                    b.visitor,
                    b.kind,
                    b.ts,
                    count(*) FILTER (WHERE b.begins) OVER (
                        PARTITION BY b.day, b.visitor ORDER BY b.ts, b.id ROWS UNBOUNDED PRECEDING
                    ) AS session
                FROM (
                    SELECT
                        r.day,
                        r.visitor,
                        r.kind,
                        r.ts,
                        r.id,
                        coalesce(r.ts - lag(r.ts) OVER (
                            PARTITION BY r.day, r.visitor ORDER BY r.ts, r.id
                        ) > interval '30 minutes', true) AS begins
                    FROM web_record AS r
                    WHERE r.site_number = site AND r.ts >= start AND r.ts < finish AND r.day = ANY (site_days)
                ) AS b
            ) AS n
            GROUP BY n.day, n.visitor, n.session
        ) AS s
        GROUP BY s.day, s.visitor
    ) AS v
    GROUP BY v.day
$$;

-- Page views (events) of site days by their properties; who asks for one facet pays for that one alone.
CREATE FUNCTION web_facets_of(site integer, site_days date [], start timestamptz, finish timestamptz)
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

-- Stores records given in columns, sorted by (site, instant, id); what is stored already and records of sites that no
-- longer exist are left out. Being statements of their own, the inserts see lines and sites as they are once the lock is
-- had; the lock is held to the commit.
CREATE FUNCTION write_web_records(
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
    countries text []
) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock_shared(7463007);

    INSERT INTO web_late_mark (site_number, day)
    SELECT DISTINCT w.site_number, w.day
    FROM unnest(site_numbers, days) AS w (site_number, day)
    INNER JOIN web_line AS l USING (site_number)
    WHERE w.day < l.mark_day;

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
        site_numbers, at_us, ids, days, visitors, kinds, pathnames, events, referrers, browsers, countries
    ) AS w (site_number, us, id, day, visitor, kind, pathname, event, referrer, browser, country)
    WHERE EXISTS (SELECT FROM site WHERE site.site_number = w.site_number)
    ON CONFLICT (site_number, ts, id) DO NOTHING;
END
$$;

-- Deletes what was collected for a site that is being deleted. Writers under way end first, later ones find no site; the
-- line's row is what the maintenance job holds while it rolls up.
CREATE FUNCTION forget_site(number integer) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(7463007);
    DELETE FROM web_line WHERE site_number = number;
    DELETE FROM web_record WHERE site_number = number;
    DELETE FROM web_daily WHERE site_number = number;
    DELETE FROM web_daily_facet WHERE site_number = number;
    DELETE FROM web_recent_facet WHERE site_number = number;
    DELETE FROM web_late_mark WHERE site_number = number;
END
$$;

CREATE TRIGGER site_changed AFTER UPDATE OF domain, timezone, is_active OR DELETE ON site
FOR EACH ROW EXECUTE FUNCTION announce_catalog_change();
