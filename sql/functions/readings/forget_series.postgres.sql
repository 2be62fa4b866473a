-- Deletes everything that is stored for a series. Its number is never used again.
CREATE OR REPLACE FUNCTION forget_series(series integer) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM reading WHERE series_id = series;
    DELETE FROM reading_hourly WHERE series_id = series;
    DELETE FROM reading_daily WHERE series_id = series;
    DELETE FROM late_mark WHERE series_id = series;
END
$$;
