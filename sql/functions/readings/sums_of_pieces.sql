-- Sums up the stored readings of pieces of series, each from its start (included) to its finish (excluded), by bucket
-- (width_bucket of the bounds; a single bucket without bounds). A piece without readings has no row. With
-- without_overridden, readings that the log has too are left out.
--
-- Pieces that are close in time are looked up together, by a statement whose plan knows the months in question. A
-- single statement for all of them would try every chunk of the table for every piece: three thousand pieces scattered
-- over fifty years took half a minute.
CREATE OR REPLACE FUNCTION sums_of_pieces(
    series integer [], starts timestamptz [], finishes timestamptz [], bounds timestamptz [], without_overridden boolean
) RETURNS TABLE (
    series_id integer,
    start timestamptz,
    bucket_number integer,
    sample_count bigint,
    value_sum double precision,
    value_min double precision,
    value_max double precision
) LANGUAGE plpgsql STABLE SET plan_cache_mode = force_custom_plan SET jit = off AS $$
DECLARE
    near record;
    first_unsettled timestamptz;
    last_unsettled timestamptz;
BEGIN
    IF without_overridden THEN
        SELECT min(l.least_at), max(l.greatest_at) INTO first_unsettled, last_unsettled
        FROM
            reading_log AS l,
            (SELECT min(p.id) AS first_id, max(p.id) AS last_id FROM unnest(series) AS p (id)) AS asked
        WHERE l.first_series <= asked.last_id AND l.last_series >= asked.first_id;
    END IF;
    first_unsettled := coalesce(first_unsettled, 'infinity');
    last_unsettled := coalesce(last_unsettled, '-infinity');
    FOR near IN
        SELECT
            min(p.start) AS first, max(p.finish) AS last,
            array_agg(p.id) AS ids, array_agg(p.start) AS starts, array_agg(p.finish) AS finishes
        FROM unnest(series, starts, finishes) AS p (id, start, finish)
        GROUP BY date_bin('28 days', p.start, 'epoch')
    LOOP
        RETURN QUERY
        SELECT p.id, p.start, r.bucket_number, r.sample_count, r.value_sum, r.value_min, r.value_max
        FROM unnest(near.ids, near.starts, near.finishes) AS p (id, start, finish)
        CROSS JOIN LATERAL (
            SELECT
                width_bucket(s.ts, bounds) AS bucket_number,
                count(*) AS sample_count,
                sum(s.value) AS value_sum,
                min(s.value) AS value_min,
                max(s.value) AS value_max
            FROM (
                -- Apart from the filter that follows: because of that, TimescaleDB would exclude chunks anew for each piece.
                SELECT r.ts, r.value
                FROM stored_values(ARRAY[p.id], near.first, near.last) AS r
                WHERE r.ts >= p.start AND r.ts < p.finish
                OFFSET 0
            ) AS s
            WHERE
                s.ts < first_unsettled OR s.ts > last_unsettled
                OR (p.id, s.ts) NOT IN (
                    SELECT u.series_id, u.ts FROM unsettled_readings(near.ids, near.first, near.last) AS u
                )
            GROUP BY 1
        ) AS r;
    END LOOP;
END
$$;
