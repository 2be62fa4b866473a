-- The store of plain PostgreSQL: segments, and rows of the old table that have not moved there yet. Only the settler
-- changes it. Arrays are returned without nulls: an absent number is NaN, which no reading has.

-- part: segment_columns
g.series_id,
g.first_at,
g.step,
g.at,
g.value,
array_replace(g.latitude, NULL, 'NaN'),
array_replace(g.longitude, NULL, 'NaN'),
array_replace(g.x_axis_value, NULL, 'NaN'),
g.metadata

-- name: take_segments
-- Removes every segment that overlaps one of these windows, start ≤ ts ≤ finish, and returns it. All of these windows
-- are within least ≤ ts ≤ greatest; least begins a month.
DELETE FROM segment AS g
USING unnest(:series_ids::integer [], :starts::bigint [], :finishes::bigint []) AS w (series_id, start, finish)
WHERE
    g.series_id = w.series_id
    AND g.first_at <= instant_of(w.finish) AND g.last_at >= instant_of(w.start)
    AND g.first_at >= month_of(instant_of(w.start))
    AND g.first_at >= :least::timestamptz AND g.first_at <= :greatest::timestamptz
RETURNING {segment_columns};

-- name: take_unpacked
-- Removes every row of the old table that is in one of these windows, as for segments, and returns it.
DELETE FROM unpacked_reading
USING unnest(:series_ids::integer [], :starts::bigint [], :finishes::bigint []) AS w (id, start, finish)
WHERE
    series_id = w.id
    AND ts >= instant_of(w.start) AND ts <= instant_of(w.finish)
    AND ts >= :least::timestamptz AND ts <= :greatest::timestamptz
RETURNING {columns_without_nulls};

-- name: crossed_stretches
-- Which of these stretches of series, start < ts < finish, have something stored in them, by position from 0. All of
-- them are within least ≤ ts ≤ greatest; least begins a month.
SELECT w.number - 1 AS position
FROM unnest(:series_ids::integer [], :starts::bigint [], :finishes::bigint []) WITH ORDINALITY
    AS w (series_id, start, finish, number)
WHERE
    EXISTS (
        SELECT FROM segment AS g
        WHERE
            g.series_id = w.series_id
            AND g.first_at > instant_of(w.start) AND g.first_at < instant_of(w.finish)
            AND g.first_at >= :least::timestamptz AND g.first_at <= :greatest::timestamptz
    )
    OR EXISTS (
        SELECT FROM unpacked_reading AS u
        WHERE
            u.series_id = w.series_id
            AND u.ts > instant_of(w.start) AND u.ts < instant_of(w.finish)
            AND u.ts >= :least AND u.ts <= :greatest
    );

-- name: unpacked_month
-- A month of which the old table has readings: its start and its finish.
SELECT month_of(ts), month_of(month_of(ts) + interval '31 days') FROM unpacked_reading LIMIT 1;

-- name: unpacked_border
-- The last of the first rows of a month, in the order of the key, if there are so many.
SELECT series_id, ts
FROM unpacked_reading
WHERE ts >= :start AND ts < :finish
ORDER BY series_id, ts
LIMIT 1 OFFSET :rows::bigint - 1;

-- name: take_unpacked_until
-- Removes the rows of a month up to one of them, in the order of the key, and returns them.
DELETE FROM unpacked_reading
WHERE ts >= :start AND ts < :finish AND (series_id, ts) <= (:last_series::integer, :last_at::timestamptz)
RETURNING {columns_without_nulls};

-- name: plan_merges
-- Plans to merge the small segments that begin in these hours (microseconds since 1970): when the hour is over, or the
-- day or month if it is not of the current one. What is over already is merged later, since more may follow.
INSERT INTO segment_merge (start, finish, due_at)
SELECT p.start, p.finish, greatest(p.finish, now() + interval '1 hour' * (p.finish <= now())::integer)
FROM (
    SELECT DISTINCT
        CASE WHEN h.hour >= t.today THEN h.hour WHEN h.hour >= t.month THEN h.day ELSE month_of(h.hour) END AS start,
        CASE
            WHEN h.hour >= t.today THEN h.hour + interval '1 hour'
            WHEN h.hour >= t.month THEN h.day + interval '24 hours'
            ELSE month_of(month_of(h.hour) + interval '31 days')
        END AS finish
    FROM (
        SELECT instant_of(us) AS hour, date_bin('1 day', instant_of(us), 'epoch') AS day
        FROM unnest(:hours::bigint []) AS us
    ) AS h
    CROSS JOIN (SELECT date_bin('1 day', now(), 'epoch') AS today, month_of(now()) AS month) AS t
) AS p
ON CONFLICT (start, finish) DO NOTHING;

-- name: due_merge
SELECT start, finish FROM segment_merge WHERE due_at <= now() ORDER BY due_at, start LIMIT 1;

-- name: small_segments
-- Neighbouring small segments within a stretch that can be fewer: the series, and the first and last instant of each
-- such run of segments. A limited number of readings, but one run at least.
WITH near AS (
    SELECT
        series_id, first_at, last_at, readings,
        count(*) FILTER (WHERE readings >= :small::integer) OVER (PARTITION BY series_id ORDER BY first_at) AS larger
    FROM segment
    WHERE first_at >= :start AND first_at < :finish AND last_at < :finish
),

run AS (
    SELECT series_id, min(first_at) AS first_at, max(last_at) AS last_at, sum(readings) AS readings
    FROM near
    WHERE readings < :small
    GROUP BY series_id, larger
    HAVING count(*) > (sum(readings) + :full::integer - 1) / :full
)

SELECT r.series_id, microseconds_of(r.first_at), microseconds_of(r.last_at)
FROM (SELECT *, sum(readings) OVER (ORDER BY series_id, first_at) - readings AS readings_before FROM run) AS r
WHERE r.readings_before < :max_readings::bigint;

-- name: plan_longer_merge
-- Ends the merging of an hour, a day or a month, and plans that of its day or its month.
WITH ended AS (
    DELETE FROM segment_merge WHERE start = :start AND finish = :finish
    RETURNING start, finish - start = interval '1 hour' AS is_hour, finish - start > interval '1 day' AS is_month
)

INSERT INTO segment_merge (start, finish, due_at)
SELECT p.start, p.finish, p.finish
FROM ended AS e
CROSS JOIN LATERAL (
    SELECT
        CASE WHEN e.is_hour THEN date_bin('1 day', e.start, 'epoch') ELSE month_of(e.start) END AS start,
        CASE
            WHEN e.is_hour THEN date_bin('1 day', e.start, 'epoch') + interval '24 hours'
            ELSE month_of(month_of(e.start) + interval '31 days')
        END AS finish
) AS p
WHERE NOT e.is_month
ON CONFLICT (start, finish) DO NOTHING;
