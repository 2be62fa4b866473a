-- The readings in the store. Of the same series and instant, the log may have a newer one. A condition on series_id finds
-- their segments; one on ts is looked at only after they are unpacked, which the functions stored_values and
-- stored_readings avoid.
CREATE OR REPLACE VIEW stored_reading AS
SELECT
    p.series_id, coalesce(p.at, p.first_at + (p.number - 1) * p.step * interval '1 microsecond') AS ts,
    p.value, p.latitude, p.longitude, p.x_axis_value, p.metadata
FROM (
    SELECT
        series_id, first_at, step, generate_series(1, readings) AS number, unnest(at) AS at, unnest(value) AS value,
        unnest(latitude) AS latitude, unnest(longitude) AS longitude,
        unnest(x_axis_value) AS x_axis_value, unnest(metadata) AS metadata
    FROM segment
) AS p
UNION ALL
SELECT series_id, ts, value, latitude, longitude, x_axis_value, metadata FROM unpacked_reading;
