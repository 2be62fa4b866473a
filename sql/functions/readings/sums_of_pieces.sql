-- Sums up the raw readings of pieces of series, each from its start (included) to its finish (excluded), by bucket
-- (width_bucket of the bounds; a single bucket without bounds). A piece without readings has no row.
--
-- Pieces that are close in time are looked up together, by a statement whose plan knows the months in question. A
-- single statement for all of them would try every chunk of the table for every piece: three thousand pieces scattered
-- over fifty years took half a minute.
CREATE OR REPLACE FUNCTION sums_of_pieces(
    series integer [], starts timestamptz [], finishes timestamptz [], bounds timestamptz []
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
BEGIN
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
            FROM reading AS s
            WHERE
                s.series_id = p.id AND s.ts >= p.start AND s.ts < p.finish
                AND s.ts >= near.first AND s.ts < near.last
            GROUP BY 1
        ) AS r;
    END LOOP;
END
$$;
