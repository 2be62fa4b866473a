-- The stored readings of some series with start ≤ ts < finish, without their optional columns. The planner inlines it.
CREATE OR REPLACE FUNCTION stored_values(asked integer [], start timestamptz, finish timestamptz)
RETURNS TABLE (series_id integer, ts timestamptz, value double precision) LANGUAGE sql STABLE AS $$
SELECT r.series_id, r.ts, r.value
FROM (
    SELECT
        p.series_id,
        coalesce(p.at, p.first_at + (p.number - 1) * p.step * interval '1 microsecond') AS ts,
        p.value
    FROM (
        SELECT
            g.series_id, g.first_at, g.step,
            generate_series(1, g.readings) AS number, unnest(g.at) AS at, unnest(g.value) AS value
        FROM segment AS g
        WHERE
            g.series_id = ANY (asked)
            AND g.first_at >= month_of(start) AND g.first_at < finish AND g.last_at >= start
    ) AS p
) AS r
WHERE r.ts >= start AND r.ts < finish
UNION ALL
SELECT u.series_id, u.ts, u.value
FROM unpacked_reading AS u
WHERE u.series_id = ANY (asked) AND u.ts >= start AND u.ts < finish
$$;
