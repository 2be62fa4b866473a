-- Deletes what is stored of a series. What the continuous aggregates still hold of it nobody can ask for, since its
-- number is never used again; their next refresh drops it.
CREATE OR REPLACE FUNCTION forget_series(series integer) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM reading WHERE series_id = series;
    DELETE FROM reading_hourly_repair WHERE series_id = series;
    DELETE FROM reading_daily_repair WHERE series_id = series;
    DELETE FROM late_mark WHERE series_id = series;
END
$$;
