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
WITH chosen AS MATERIALIZED (
    SELECT * {seen_sensors}
    ORDER BY id
    LIMIT :max_rows OFFSET :skip
)

SELECT
    s.id, s.name, s.asset_id, s.specification_type, s.measure_unit,
    greatest(u.ts, r.ts) AS ts,
    CASE WHEN r.ts > u.ts OR u.ts IS NULL THEN r.value ELSE u.value END AS value
FROM chosen AS s
LEFT JOIN newest_stored AS r USING (series_id)
LEFT JOIN newest_unsettled(ARRAY(SELECT series_id FROM chosen)) AS u USING (series_id)
ORDER BY s.id;

-- name: count_seen_sensors
SELECT count(*) {seen_sensors};
