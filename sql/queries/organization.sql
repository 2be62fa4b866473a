-- name: any_organization
SELECT EXISTS (SELECT FROM organization);

-- name: lock_first_organization
-- Processes that start together on an empty database take turns.
SELECT pg_advisory_xact_lock(7463001);

-- name: insert_organization
INSERT INTO organization (
    organization_id, name, country, currency, timezone, sensor_limit, readings_per_minute, api_key_hash
)
VALUES (
    :organization_id, :name, :country, :currency, :timezone, :sensor_limit, :readings_per_minute, :api_key_hash
)
RETURNING company_id, organization_id, name, country, currency, timezone, sensor_limit, readings_per_minute, created_at;

-- name: list_organizations
SELECT company_id, organization_id, name, country, currency, timezone, sensor_limit, readings_per_minute, created_at
FROM organization
ORDER BY company_id;

-- name: list_own_organizations
-- Those that are no demonstrations.
SELECT company_id, organization_id, name FROM organization WHERE NOT demonstration ORDER BY company_id;

-- name: mark_demonstration
UPDATE organization SET demonstration = true WHERE company_id = :company_id;

-- name: organization
SELECT company_id, organization_id, name, country, currency, timezone, sensor_limit, readings_per_minute, created_at
FROM organization
WHERE company_id = :company_id;

-- name: find_organization
-- By its opaque id, or by its company id as text.
SELECT company_id, organization_id, name, country, currency, timezone, sensor_limit, readings_per_minute, created_at
FROM organization
WHERE organization_id = :organization OR company_id::text = :organization;

-- name: update_organization
UPDATE organization
SET
    name = :name,
    country = :country,
    currency = :currency,
    timezone = :timezone,
    sensor_limit = :sensor_limit,
    readings_per_minute = :readings_per_minute
WHERE company_id = :company_id
RETURNING company_id, organization_id, name, country, currency, timezone, sensor_limit, readings_per_minute, created_at;

-- name: replace_api_key
UPDATE organization SET api_key_hash = :api_key_hash WHERE company_id = :company_id;

-- name: organization_of_key
SELECT company_id, readings_per_minute
FROM organization
WHERE organization_id = :organization_id AND api_key_hash = :api_key_hash;

-- name: insert_token
INSERT INTO api_token (company_id, name, token_hash, scopes, cooling_unit_ids, rate_limit, expires_at)
VALUES (:company_id, :name, :token_hash, :scopes, :cooling_unit_ids, :rate_limit, :expires_at)
RETURNING
    id, company_id, name, scopes, cooling_unit_ids, rate_limit, expires_at, last_used_at, revoked, created_at;

-- name: list_tokens
SELECT id, company_id, name, scopes, cooling_unit_ids, rate_limit, expires_at, last_used_at, revoked, created_at
FROM api_token
WHERE company_id = :company_id
ORDER BY created_at, id
LIMIT :size OFFSET :skip;

-- name: count_tokens
SELECT count(*) FROM api_token WHERE company_id = :company_id;

-- name: revoke_token
-- Of one organization, or of whichever it is for null.
UPDATE api_token
SET revoked = true
WHERE id = :id AND (:company_id::integer IS NULL OR company_id = :company_id)
RETURNING id;

-- name: token_of_hash
SELECT t.id, t.company_id, t.scopes, t.cooling_unit_ids, t.rate_limit, t.expires_at, o.readings_per_minute
FROM api_token AS t
INNER JOIN organization AS o USING (company_id)
WHERE t.token_hash = :token_hash AND NOT t.revoked;

-- name: note_token_use
UPDATE api_token SET last_used_at = now() WHERE id = ANY (:ids::uuid []);
