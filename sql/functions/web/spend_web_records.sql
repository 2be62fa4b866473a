-- Counts records, given as columns, against the limits of their minutes. Returns, for each record in order, null if it
-- may be stored, otherwise the limit that it exceeds, `address` or `site`. Earlier records take precedence. Refused
-- records count too, so a limit that is reached stays so for the rest of the minute.
CREATE OR REPLACE FUNCTION spend_web_records(
    site_numbers integer [], at_us bigint [], addresses uuid [], per_site bigint, per_address bigint
) RETURNS text [] LANGUAGE plpgsql
SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
    refusals text [];
BEGIN
    WITH sent AS (
        SELECT
            w.place, w.us, (w.us / 60000000)::integer AS minute, w.site_number, w.address,
            row_number() OVER (PARTITION BY w.us / 60000000, w.address ORDER BY w.us, w.place) AS number
        FROM unnest(site_numbers, at_us, addresses) WITH ORDINALITY AS w (site_number, us, address, place)
    ),

    of_address AS (
        INSERT INTO address_usage AS u (minute, address, records)
        SELECT s.minute, s.address, max(s.number)
        FROM sent AS s
        WHERE s.address IS NOT NULL
        GROUP BY s.minute, s.address
        ORDER BY s.minute, s.address
        ON CONFLICT (minute, address) DO UPDATE SET records = u.records + excluded.records
        RETURNING u.minute, u.address, u.records
    ),

    of_sender AS (
        SELECT
            s.place, s.us, s.minute, s.site_number,
            s.number + u.records - max(s.number) OVER (PARTITION BY s.minute, s.address) > per_address AS refused
        FROM sent AS s
        LEFT JOIN of_address AS u ON u.minute = s.minute AND u.address = s.address
    ),

    passed AS (
        SELECT
            s.place, s.minute, s.site_number,
            row_number() OVER (PARTITION BY s.minute, s.site_number ORDER BY s.us, s.place) AS number
        FROM of_sender AS s
        WHERE s.refused IS NOT TRUE
    ),

    of_site AS (
        INSERT INTO site_usage AS u (minute, site_number, records)
        SELECT p.minute, p.site_number, max(p.number)
        FROM passed AS p
        GROUP BY p.minute, p.site_number
        ORDER BY p.minute, p.site_number
        ON CONFLICT (minute, site_number) DO UPDATE SET records = u.records + excluded.records
        RETURNING u.minute, u.site_number, u.records
    ),

    of_page AS (
        SELECT
            p.place,
            p.number + u.records - max(p.number) OVER (PARTITION BY p.minute, p.site_number) > per_site AS refused
        FROM passed AS p
        INNER JOIN of_site AS u ON u.minute = p.minute AND u.site_number = p.site_number
    )

    SELECT array_agg(CASE WHEN s.refused THEN 'address' WHEN p.refused THEN 'site' END ORDER BY s.place)
    INTO refusals
    FROM of_sender AS s
    LEFT JOIN of_page AS p ON p.place = s.place;
    RETURN refusals;
END
$$;
