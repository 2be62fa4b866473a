-- part: organization_columns
company_id, organization_id, name, country, currency, timezone, sensor_limit, readings_per_minute, created_at

-- name: any_organization
SELECT EXISTS (SELECT FROM organization);

-- name: lock_first_organization
-- Processes that start at the same time on an empty database take turns.
SELECT pg_advisory_xact_lock(7463001);

-- name: insert_organization
INSERT INTO organization (
    organization_id, name, country, currency, timezone, sensor_limit, readings_per_minute, api_key_hash
)
VALUES (
    :organization_id, :name, :country, :currency, :timezone, :sensor_limit, :readings_per_minute, :api_key_hash
)
RETURNING {organization_columns};

-- name: list_organizations
SELECT {organization_columns}
FROM organization
ORDER BY company_id;

-- name: list_own_organizations
-- All except demonstrations.
SELECT company_id, organization_id, name FROM organization WHERE NOT demonstration ORDER BY company_id;

-- name: mark_demonstration
UPDATE organization SET demonstration = true WHERE company_id = :company_id;

-- name: organization
SELECT {organization_columns}
FROM organization
WHERE company_id = :company_id;

-- name: find_organization
-- By its opaque id, or by its company id as text.
SELECT {organization_columns}
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
RETURNING {organization_columns};

-- name: replace_api_key
UPDATE organization SET api_key_hash = :api_key_hash WHERE company_id = :company_id;
