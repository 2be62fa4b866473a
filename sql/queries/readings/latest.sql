-- part: seen_sensors
-- A company's sensors: those with these ids (null: any) and this asset (null: any) that a token may see (null: all).
FROM sensor
WHERE
    company_id = :company_id
    AND (:ids::text [] IS NULL OR id = ANY (:ids))
    AND (:asset_id::integer IS NULL OR asset_id = :asset_id)
    AND (:seen::integer [] IS NULL OR asset_id = ANY (:seen))

-- name: latest_of_sensors
-- The last reading of each sensor, by id; null if a sensor has none.
SELECT sensor.id, sensor.name, sensor.asset_id, sensor.specification_type, sensor.measure_unit, r.ts, r.value
FROM (
    SELECT * {seen_sensors}
    ORDER BY id
    LIMIT :max_rows OFFSET :skip
) AS sensor
LEFT JOIN LATERAL (
    SELECT ts, value FROM reading WHERE series_id = sensor.series_id ORDER BY ts DESC LIMIT 1
) AS r ON true
ORDER BY sensor.id;

-- name: count_seen_sensors
SELECT count(*) {seen_sensors};
