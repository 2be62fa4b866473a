-- The figures of a site's days, computed from their records; start and finish are instants that enclose those days. A
-- session consists of a visitor's consecutive records that are no more than 30 minutes apart.
CREATE OR REPLACE FUNCTION web_days_of(site integer, site_days date [], start timestamptz, finish timestamptz)
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
