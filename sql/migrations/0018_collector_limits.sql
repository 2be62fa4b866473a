-- Limits of the public collector: records a minute of a site and from an address, distinct names of a site's day. See
-- docs/decisions.md, "Limits of the collector". Advisory lock 7463011 with a site number: its names.

-- Minutes are counted since 1970 UTC; those that are over are deleted by the maintenance job. What a crash of the server
-- loses here is a minute's counts, so they need no journal, and what is not in a journal is in no backup of it either.
CREATE UNLOGGED TABLE address_key (
    minute integer PRIMARY KEY,
    key bytea NOT NULL
);

-- An address is a hash under the key of the minute.
CREATE UNLOGGED TABLE address_usage (
    minute integer NOT NULL,
    address uuid NOT NULL,
    records bigint NOT NULL,
    PRIMARY KEY (minute, address)
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000);
CREATE UNLOGGED TABLE site_usage (
    minute integer NOT NULL,
    site_number integer NOT NULL,
    records bigint NOT NULL,
    PRIMARY KEY (minute, site_number)
) WITH (fillfactor = 50);

-- The names that a site's day has, by facet: `page`, `event`, `referrer`, `browser`; as the first half of their SHA-256,
-- for they may be long. They are needed for as long as the day may get records.
CREATE TABLE web_name (
    site_number integer NOT NULL,
    day date NOT NULL,
    facet text COLLATE "C" NOT NULL,
    name bytea NOT NULL,
    PRIMARY KEY (site_number, day, facet, name)
);
CREATE TABLE web_name_count (
    site_number integer NOT NULL,
    day date NOT NULL,
    facet text COLLATE "C" NOT NULL,
    names integer NOT NULL,
    PRIMARY KEY (site_number, day, facet)
) WITH (fillfactor = 50);

CREATE FUNCTION web_name_key(name text) RETURNS bytea LANGUAGE sql STABLE AS $$
    SELECT substring(sha256(convert_to(name, 'UTF8')) FROM 1 FOR 16)
$$;

-- Counts records, given in columns, against the limits of their minutes: for each in its order null where it may be
-- stored, else `address` or `site`, whose limit has no room for it. The earlier ones have the right of way. What is
-- refused counts as well: what is full in a minute stays full.
CREATE FUNCTION spend_web_records(
    site_numbers integer [], at_us bigint [], addresses uuid [], per_site bigint, per_address bigint
) RETURNS text [] LANGUAGE plpgsql
SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
    refusals text [];
BEGIN
    WITH sent AS (
        SELECT
            w.place, w.us, (w.us / 60000000)::integer AS minute, w.site_number, w.address,
            row_number() OVER (PARTITION BY w.us / 60000000, w.address ORDER BY w.us, w.place) AS number
        FROM unnest(site_numbers, at_us, addresses) WITH ORDINALITY AS w (site_number, us, address, place)
    ),

    of_address AS (
        INSERT INTO address_usage AS u (minute, address, records)
        SELECT s.minute, s.address, max(s.number)
        FROM sent AS s
        WHERE s.address IS NOT NULL
        GROUP BY s.minute, s.address
        ORDER BY s.minute, s.address
        ON CONFLICT (minute, address) DO UPDATE SET records = u.records + excluded.records
        RETURNING u.minute, u.address, u.records
    ),

    of_sender AS (
        SELECT
            s.place, s.us, s.minute, s.site_number,
            s.number + u.records - max(s.number) OVER (PARTITION BY s.minute, s.address) > per_address AS refused
        FROM sent AS s
        LEFT JOIN of_address AS u ON u.minute = s.minute AND u.address = s.address
    ),

    passed AS (
        SELECT
            s.place, s.minute, s.site_number,
            row_number() OVER (PARTITION BY s.minute, s.site_number ORDER BY s.us, s.place) AS number
        FROM of_sender AS s
        WHERE s.refused IS NOT TRUE
    ),

    of_site AS (
        INSERT INTO site_usage AS u (minute, site_number, records)
        SELECT p.minute, p.site_number, max(p.number)
        FROM passed AS p
        GROUP BY p.minute, p.site_number
        ORDER BY p.minute, p.site_number
        ON CONFLICT (minute, site_number) DO UPDATE SET records = u.records + excluded.records
        RETURNING u.minute, u.site_number, u.records
    ),

    of_page AS (
        SELECT
            p.place,
            p.number + u.records - max(p.number) OVER (PARTITION BY p.minute, p.site_number) > per_site AS refused
        FROM passed AS p
        INNER JOIN of_site AS u ON u.minute = p.minute AND u.site_number = p.site_number
    )

    SELECT array_agg(CASE WHEN s.refused THEN 'address' WHEN p.refused THEN 'site' END ORDER BY s.place)
    INTO refusals
    FROM of_sender AS s
    LEFT JOIN of_page AS p ON p.place = s.place;
    RETURN refusals;
END
$$;

-- The names of records that the days do not have yet; of those that are refused none. Here and below a name is looked up
-- by its key, one after the other: a join would be planned for the table as it was at another time of the day.
CREATE FUNCTION new_web_names(
    site_numbers integer [],
    days date [],
    pathnames text [],
    events text [],
    referrers text [],
    browsers text [],
    refusals text []
) RETURNS TABLE (site_number integer, day date, facet text, name bytea) LANGUAGE sql STABLE AS $$
    SELECT n.site_number, n.day, n.facet, k.name
    FROM (
        SELECT DISTINCT w.site_number, w.day, f.facet, f.name
        FROM unnest(site_numbers, days, pathnames, events, referrers, browsers, refusals)
            AS w (site_number, day, pathname, event, referrer, browser, refusal)
        CROSS JOIN LATERAL (
            VALUES ('page', w.pathname), ('event', w.event), ('referrer', w.referrer), ('browser', w.browser)
        ) AS f (facet, name)
        WHERE w.refusal IS NULL AND f.name IS NOT NULL
    ) AS n
    CROSS JOIN LATERAL web_name_key(n.name) AS k (name)
    WHERE (
        SELECT true FROM web_name AS h
        WHERE h.site_number = n.site_number AND h.day = n.day AND h.facet = n.facet AND h.name = k.name
        LIMIT 1
    ) IS NULL
$$;

-- Names of one facet as they are stored: themselves where their day has them, else `(other)`.
CREATE FUNCTION web_names_or_other(site_numbers integer [], days date [], of_facet text, names text []) RETURNS text []
LANGUAGE plpgsql STABLE
SET plan_cache_mode = force_generic_plan SET enable_seqscan = off
AS $$
BEGIN
    RETURN (
        SELECT array_agg(
            CASE
                WHEN w.name IS NULL OR (
                    SELECT true FROM web_name AS h
                    WHERE
                        h.site_number = w.site_number AND h.day = w.day AND h.facet = of_facet
                        AND h.name = web_name_key(w.name)
                    LIMIT 1
                ) THEN w.name
                ELSE '(other)'
            END
            ORDER BY w.place
        )
        FROM unnest(site_numbers, days, names) WITH ORDINALITY AS w (site_number, day, name, place)
    );
END
$$;

DROP FUNCTION write_web_records(
    integer [], bigint [], bigint [], date [], uuid [], text [], text [], text [], text [], text [], text []
);

-- Stores records given in columns, sorted by (site, instant, id); what is stored already and records of sites that no
-- longer exist are left out. Answers which are refused, counted from 1, and whose limit it is: `address` or `site`. Names
-- beyond those that a site's day may have become `(other)`. Each statement sees what had committed before it, so lines,
-- sites and names are as they are once the locks are had; locks are held to the commit.
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

CREATE OR REPLACE FUNCTION forget_site(number integer) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(7463007);
    DELETE FROM web_line WHERE site_number = number;
    DELETE FROM web_record WHERE site_number = number;
    DELETE FROM web_daily WHERE site_number = number;
    DELETE FROM web_daily_facet WHERE site_number = number;
    DELETE FROM web_recent_facet WHERE site_number = number;
    DELETE FROM web_late_mark WHERE site_number = number;
    DELETE FROM web_name WHERE site_number = number;
    DELETE FROM web_name_count WHERE site_number = number;
END
$$;
