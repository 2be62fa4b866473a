-- The readings in the store. Of the same series and instant, the log may have a newer one.
CREATE OR REPLACE VIEW stored_reading AS
SELECT series_id, ts, value, latitude, longitude, x_axis_value, metadata FROM reading;
