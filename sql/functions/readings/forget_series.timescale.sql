-- Deletes everything that is stored for a series, except for its rows in the continuous aggregates. Nobody can query
-- those, since its number is never used again, and the next refresh drops them.
CREATE OR REPLACE FUNCTION forget_series(series integer) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM reading WHERE series_id = series;
    DELETE FROM reading_hourly_repair WHERE series_id = series;
    DELETE FROM reading_daily_repair WHERE series_id = series;
    DELETE FROM late_mark WHERE series_id = series;
END
$$;
