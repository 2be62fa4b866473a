-- name: organization_of_key
SELECT company_id, readings_per_minute
FROM organization
WHERE organization_id = :organization_id AND api_key_hash = :api_key_hash;

-- name: token_of_hash
SELECT t.id, t.company_id, t.scopes, t.cooling_unit_ids, t.rate_limit, t.expires_at, o.readings_per_minute
FROM api_token AS t
INNER JOIN organization AS o USING (company_id)
WHERE t.token_hash = :token_hash AND NOT t.revoked;

-- name: note_token_use
UPDATE api_token SET last_used_at = now() WHERE id = ANY (:ids::uuid []);

-- name: sensors_of_ids
-- A join, as in series_of_names.
SELECT sensor.series_id, sensor.id, sensor.name, sensor.measure_unit, sensor.asset_id
FROM unnest(:ids::text []) AS wanted (id)
INNER JOIN sensor ON sensor.company_id = :company_id AND sensor.id = wanted.id;

-- name: sensors_of_asset
SELECT series_id, id, name, measure_unit, asset_id FROM sensor
WHERE company_id = :company_id AND asset_id = :asset_id
ORDER BY id;

-- name: site_of_id
SELECT site_number, company_id, site_id, domain, timezone, is_active FROM site WHERE site_id = :site_id;
