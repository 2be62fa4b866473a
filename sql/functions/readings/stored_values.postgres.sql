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
            generate_series(g.first, g.last) AS number, unnest(g.at[g.first:g.last]) AS at,
            unnest(g.value[g.first:g.last]) AS value
        FROM (
            SELECT
                s.*,
                CASE
                    WHEN s.first_at < start THEN segment_position(start, s.first_at, s.step, s.at)
                    ELSE 1
                END AS first,
                CASE
                    WHEN s.last_at < finish THEN s.readings
                    ELSE least(segment_position(finish, s.first_at, s.step, s.at) + 1, s.readings)
                END AS last
            FROM segment AS s
            WHERE
                s.series_id = ANY (asked)
                AND s.first_at >= month_of(start) AND s.first_at < finish AND s.last_at >= start
            OFFSET 0
        ) AS g
    ) AS p
) AS r
WHERE r.ts >= start AND r.ts < finish
UNION ALL
SELECT u.series_id, u.ts, u.value
FROM unpacked_reading AS u
WHERE u.series_id = ANY (asked) AND u.ts >= start AND u.ts < finish
$$;
