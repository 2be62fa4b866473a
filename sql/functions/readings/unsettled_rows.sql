-- The rows of the log that contain readings of the asked series (distinct and ascending) and overlap the window
-- start ≤ ts < finish. `places` are the positions of these series in the row's own list: the shorter of the two lists is
-- looked up in the longer one. `is_inside`: the whole row lies in the window.
--
-- An array is fetched from where it is stored by `|| '{}'`: once, and only for a row that needs it. OFFSET 0 keeps the
-- planner from repeating that wherever the array is used.
CREATE OR REPLACE FUNCTION unsettled_rows(asked integer [], start timestamptz, finish timestamptz) RETURNS TABLE (
    xid xid8,
    readings integer,
    is_inside boolean,
    series integer [],
    starts integer [],
    at bigint [],
    value double precision [],
    latitude double precision [],
    longitude double precision [],
    x_axis_value double precision [],
    metadata text [],
    places integer []
) LANGUAGE sql STABLE AS $$
SELECT
    l.xid, l.readings, l.is_inside,
    l.series, l.starts, l.at, l.value, l.latitude, l.longitude, l.x_axis_value, l.metadata,
    CASE
        WHEN cardinality(l.chosen) * 2 <= l.readings THEN ARRAY(
            SELECT s.place
            FROM (
                SELECT c.series_id, width_bucket(c.series_id, l.series) AS place
                FROM (SELECT unnest(l.chosen) AS series_id) AS c
                OFFSET 0
            ) AS s
            WHERE l.series[s.place] = s.series_id
        )
        ELSE ARRAY(
            SELECT s.place
            FROM (SELECT unnest(l.series) AS series_id, generate_subscripts(l.series, 1) AS place) AS s
            WHERE l.chosen[width_bucket(s.series_id, l.chosen)] = s.series_id
        )
    END AS places
FROM (
    SELECT
        g.xid, g.readings, g.least_at >= start AND g.greatest_at < finish AS is_inside,
        g.series || '{}' AS series,
        g.starts, g.at, g.value, g.latitude, g.longitude, g.x_axis_value, g.metadata,
        asked[width_bucket(g.first_series - 1, asked) + 1:width_bucket(g.last_series, asked)] AS chosen
    FROM reading_log AS g
    WHERE
        g.least_at < finish AND g.greatest_at >= start
        AND width_bucket(g.first_series - 1, asked) < width_bucket(g.last_series, asked)
    OFFSET 0
) AS l
OFFSET 0
$$;
