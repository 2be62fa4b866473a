-- What is read of assets is what a token may see: what is of the cooling units :seen, all for null.

-- part: assets_of_name
-- Of any name for null.
FROM asset
WHERE
    company_id = :company_id AND (:name::text IS NULL OR name = :name)
    AND (:seen::integer [] IS NULL OR id = ANY (:seen))

-- name: next_asset_id
-- One after the largest id that there is or was made up before, so that none is given out twice. The row of the
-- organization is locked by that, and assets get their ids one at a time.
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
