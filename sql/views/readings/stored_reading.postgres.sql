-- The readings in the store. Of the same series and instant, the log may have a newer one. A condition on series_id finds
-- their segments; one on ts is looked at only after they are unpacked, which the functions stored_values and
-- stored_readings avoid.
CREATE OR REPLACE VIEW stored_reading AS
SELECT s.series_id, r.ts, r.value, r.latitude, r.longitude, r.x_axis_value, r.metadata
FROM segment AS s
CROSS JOIN LATERAL unpacked(
    s.first_at, s.step, 1, s.readings, s.at, s.value, s.latitude, s.longitude, s.x_axis_value, s.metadata
) AS r
UNION ALL
SELECT series_id, ts, value, latitude, longitude, x_axis_value, metadata FROM unpacked_reading;
