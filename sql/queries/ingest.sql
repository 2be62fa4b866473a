-- name: write_readings
SELECT write_readings(:series_ids, :at_us, :reading_values, :latitudes, :longitudes, :x_axis_values, :metadata_texts);

-- name: prepare_reading_storage
SELECT prepare_reading_storage(:at_us);
