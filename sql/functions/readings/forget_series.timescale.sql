-- Deletes everything that is stored for some series, except for their rows in the continuous aggregates. Nobody can query
-- those, since their numbers are never used again, and the next refresh drops them.
CREATE OR REPLACE FUNCTION forget_series(series integer []) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM reading WHERE series_id = ANY (series);
    DELETE FROM reading_hourly_repair WHERE series_id = ANY (series);
    DELETE FROM reading_daily_repair WHERE series_id = ANY (series);
    DELETE FROM newest_stored WHERE series_id = ANY (series);
    DELETE FROM forgotten_series WHERE series_id = ANY (series);
END
$$;
