-- Names of one facet as they are stored: unchanged if their day has them, otherwise `(other)`. They are looked up as in
-- new_web_names.
CREATE OR REPLACE FUNCTION web_names_or_other(site_numbers integer [], days date [], of_facet text, names text [])
RETURNS text [] LANGUAGE plpgsql STABLE
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
