-- The first stored readings of a series with start ≤ ts < finish, as many as there are of so many, or more. The
-- planner inlines it. Segments are
-- disjoint, so sorting by their beginning and then by instant is to sort by instant; and the planner, which gets them in
-- the order of the index, sorts one after the other and unpacks no more than it needs.
CREATE OR REPLACE FUNCTION first_stored(
    series integer, start timestamptz, finish timestamptz, max_rows bigint
) RETURNS TABLE (
    ts timestamptz,
    value double precision,
    latitude double precision,
    longitude double precision,
    x_axis_value double precision,
    metadata text
) LANGUAGE sql STABLE AS $$
(
    SELECT r.ts, r.value, r.latitude, r.longitude, r.x_axis_value, r.metadata
    FROM (
        SELECT
            p.first_at,
            coalesce(p.at, p.first_at + (p.number - 1) * p.step * interval '1 microsecond') AS ts,
            p.value, p.latitude, p.longitude, p.x_axis_value, p.metadata
        FROM (
            SELECT
                g.first_at, g.step,
                generate_series(1, g.readings) AS number, unnest(g.at) AS at, unnest(g.value) AS value,
                unnest(g.latitude) AS latitude, unnest(g.longitude) AS longitude,
                unnest(g.x_axis_value) AS x_axis_value, unnest(g.metadata) AS metadata
            FROM (
                SELECT *
                FROM segment
                WHERE
                    series_id = series
                    AND first_at >= month_of(start) AND first_at < finish AND last_at >= start
                ORDER BY first_at
            ) AS g
        ) AS p
    ) AS r
    WHERE r.ts >= start AND r.ts < finish
    ORDER BY r.first_at, r.ts
    LIMIT max_rows
)
UNION ALL
(
    SELECT u.ts, u.value, u.latitude, u.longitude, u.x_axis_value, u.metadata
    FROM unpacked_reading AS u
    WHERE u.series_id = series AND u.ts >= start AND u.ts < finish
    ORDER BY u.ts
    LIMIT max_rows
)
$$;
