-- part: site_columns
site_id AS "siteId", name, domain, timezone, is_active AS "isActive",
to_char(created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') AS "createdAt"

-- part: sites_of_name
-- With any name if it is null.
FROM site WHERE company_id = :company_id AND (:name::text IS NULL OR name = :name)

-- name: insert_site
INSERT INTO site (company_id, site_id, name, domain, timezone, is_active)
VALUES (:company_id, :siteId, :name, :domain, :timezone, :isActive)
RETURNING {site_columns};

-- name: read_site
SELECT {site_columns}
FROM site
WHERE company_id = :company_id AND site_id = :id;

-- name: lock_site
SELECT FROM site WHERE company_id = :company_id AND site_id = :id FOR UPDATE;

-- name: list_sites
SELECT {site_columns}
{sites_of_name}
ORDER BY site_id
LIMIT :size OFFSET :skip;

-- name: count_sites
SELECT count(*) {sites_of_name};

-- name: update_site
UPDATE site
SET name = :name, domain = :domain, timezone = :timezone, is_active = :isActive
WHERE company_id = :company_id AND site_id = :siteId
RETURNING {site_columns};

-- name: delete_site
WITH gone AS (
    DELETE FROM site WHERE company_id = :company_id AND site_id = :id RETURNING site_number
)

SELECT site_number, forget_site(site_number) FROM gone;
