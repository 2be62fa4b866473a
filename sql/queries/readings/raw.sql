-- part: first_readings(order)
-- The first readings of each series in a window, in order within the series. With a limit inside LATERAL, the only
-- possible join is a nested loop, so the rows of a series come together and in order, without a sort of all rows.
SELECT s.series_id, r.ts, r.value, r.latitude, r.longitude, r.x_axis_value, r.metadata
FROM unnest(:series_ids::integer []) AS s (series_id)
CROSS JOIN LATERAL (
    SELECT ts, value, latitude, longitude, x_axis_value, metadata
    FROM reading
    WHERE series_id = s.series_id AND ts >= :start AND ts < :finish
    ORDER BY {order}
    LIMIT :max_rows
) AS r

-- name: readings_by_timestamp_asc
{first_readings(ts)};

-- name: readings_by_timestamp_desc
{first_readings(ts DESC)};

-- name: readings_by_value_asc
{first_readings(value, ts)};

-- name: readings_by_value_desc
{first_readings(value DESC, ts DESC)};

-- name: sensors_to_export
SELECT series_id, id
FROM sensor
WHERE company_id = :company_id AND (:ids::text [] IS NULL OR id = ANY (:ids))
ORDER BY id;
