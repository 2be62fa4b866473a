-- Reads return only what a token may see: the assets among the cooling units :seen, or all if that is null.

-- part: assets_of_name
-- With any name if it is null.
FROM asset
WHERE
    company_id = :company_id AND (:name::text IS NULL OR name = :name)
    AND (:seen::integer [] IS NULL OR id = ANY (:seen))

-- name: next_asset_id
-- The number after the largest id that exists or was generated before, so that none is generated twice. This locks the
-- organization's row, so ids are generated one at a time.
UPDATE organization
SET last_asset_id = 1 + greatest(
    last_asset_id, (SELECT max(id) FROM asset WHERE asset.company_id = organization.company_id)
)
WHERE company_id = :company_id
RETURNING last_asset_id;

-- name: insert_asset
INSERT INTO asset (company_id, id, name, location_id)
VALUES (:company_id, :id, :name, :location_id)
RETURNING id, name, location_id;

-- name: read_asset
SELECT id, name, location_id
FROM asset
WHERE
    company_id = :company_id AND id = :id
    AND (:seen::integer [] IS NULL OR id = ANY (:seen));

-- name: lock_asset
SELECT FROM asset WHERE company_id = :company_id AND id = :id FOR UPDATE;

-- name: list_assets
SELECT id, name, location_id
{assets_of_name}
ORDER BY id
LIMIT :size OFFSET :skip;

-- name: count_assets
SELECT count(*) {assets_of_name};

-- name: update_asset
UPDATE asset
SET name = :name, location_id = :location_id
WHERE company_id = :company_id AND id = :id
RETURNING id, name, location_id;

-- name: delete_asset
DELETE FROM asset WHERE company_id = :company_id AND id = :id RETURNING id;
