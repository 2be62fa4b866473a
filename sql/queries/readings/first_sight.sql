-- name: series_of_names
-- A join, because a plan that was made for few sensors stays right for many: with `= ANY`, it compares every sensor with
-- thousands of names, one by one.
SELECT sensor.name, min(sensor.series_id) AS series_id
FROM unnest(:names::text []) AS wanted (name)
INNER JOIN sensor ON sensor.company_id = :company_id AND sensor.name = wanted.name
GROUP BY sensor.name;

-- name: lock_first_sights
-- Processes that see new series of an organization at the same time take turns, so that each series gets one sensor.
SELECT pg_advisory_xact_lock(7463005, :company_id);

-- name: sensors_left
SELECT sensor_limit - (SELECT count(*) FROM sensor WHERE sensor.company_id = organization.company_id)
FROM organization
WHERE company_id = :company_id;

-- name: insert_series
INSERT INTO sensor (company_id, id, name)
SELECT :company_id, s.id, s.name
FROM unnest(:ids::text [], :names::text []) AS s (id, name)
RETURNING name, series_id;
