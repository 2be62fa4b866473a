-- The names in records, except refused ones, that their days do not have yet. Each name is looked up by its key, one
-- after the other: a join might have a plan that was made for the table as it was at another time of the day.
CREATE OR REPLACE FUNCTION new_web_names(
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
