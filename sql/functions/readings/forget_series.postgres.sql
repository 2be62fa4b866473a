-- Deletes everything that is stored for some series. Their numbers are never used again.
CREATE OR REPLACE FUNCTION forget_series(series integer []) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM segment WHERE series_id = ANY (series);
    DELETE FROM unpacked_reading WHERE series_id = ANY (series);
    DELETE FROM reading_hourly WHERE series_id = ANY (series);
    DELETE FROM reading_daily WHERE series_id = ANY (series);
    DELETE FROM newest_stored WHERE series_id = ANY (series);
    DELETE FROM forgotten_series WHERE series_id = ANY (series);
END
$$;
