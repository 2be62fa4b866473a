-- Reads return only what a token may see: the locations of the cooling units :seen, or all if that is null.

-- part: location_is_seen
(
    :seen::integer [] IS NULL OR EXISTS (
        SELECT FROM asset
        WHERE
            asset.company_id = location.company_id
            AND asset.location_id = location.id
            AND asset.id = ANY (:seen)
    )
)

-- part: locations_of_name
-- With any name if it is null.
FROM location
WHERE
    company_id = :company_id AND (:name::text IS NULL OR name = :name)
    AND {location_is_seen}

-- name: next_location_id
-- Like next_asset_id.
UPDATE organization
SET last_location_id = 1 + greatest(
    last_location_id, (SELECT max(id) FROM location WHERE location.company_id = organization.company_id)
)
WHERE company_id = :company_id
RETURNING last_location_id;

-- name: insert_location
INSERT INTO location (company_id, id, name) VALUES (:company_id, :id, :name) RETURNING id, name;

-- name: read_location
SELECT id, name
FROM location
WHERE
    company_id = :company_id AND id = :id
    AND {location_is_seen};

-- name: lock_location
SELECT FROM location WHERE company_id = :company_id AND id = :id FOR UPDATE;

-- name: list_locations
SELECT id, name
{locations_of_name}
ORDER BY id
LIMIT :size OFFSET :skip;

-- name: count_locations
SELECT count(*) {locations_of_name};

-- name: update_location
UPDATE location SET name = :name WHERE company_id = :company_id AND id = :id RETURNING id, name;

-- name: delete_location
DELETE FROM location WHERE company_id = :company_id AND id = :id RETURNING id;
