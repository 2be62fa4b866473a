-- Deletes what was collected for a site that is being deleted. The lock waits for writers that have begun, and later
-- ones no longer find the site. The maintenance job locks the row of web_line while it rolls up.
CREATE OR REPLACE FUNCTION forget_site(number integer) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(7463007);
    DELETE FROM web_line WHERE site_number = number;
    DELETE FROM web_record WHERE site_number = number;
    DELETE FROM web_daily WHERE site_number = number;
    DELETE FROM web_daily_facet WHERE site_number = number;
    DELETE FROM web_recent_facet WHERE site_number = number;
    DELETE FROM web_late_mark WHERE site_number = number;
    DELETE FROM web_name WHERE site_number = number;
    DELETE FROM web_name_count WHERE site_number = number;
END
$$;
