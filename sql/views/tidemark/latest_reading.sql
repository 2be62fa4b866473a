-- The newest reading of each sensor that has one.
CREATE OR REPLACE VIEW tidemark.latest_reading WITH (security_barrier) AS
SELECT
    s.company_id, s.id AS sensor, greatest(r.ts, u.ts) AS ts,
    CASE WHEN r.ts > u.ts OR u.ts IS NULL THEN r.value ELSE u.value END AS value
FROM own_sensor AS s
LEFT JOIN newest_stored AS r USING (series_id)
LEFT JOIN own_newest_unsettled() AS u USING (series_id)
WHERE r.ts IS NOT NULL OR u.ts IS NOT NULL;

GRANT SELECT ON tidemark.latest_reading TO public;
