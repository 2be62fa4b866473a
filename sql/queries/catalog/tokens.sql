-- part: token_columns
id, company_id, name, scopes, cooling_unit_ids, rate_limit, expires_at, last_used_at, revoked, created_at

-- name: insert_token
INSERT INTO api_token (company_id, name, token_hash, scopes, cooling_unit_ids, rate_limit, expires_at)
VALUES (:company_id, :name, :token_hash, :scopes, :cooling_unit_ids, :rate_limit, :expires_at)
RETURNING {token_columns};

-- name: list_tokens
SELECT {token_columns}
FROM api_token
WHERE company_id = :company_id
ORDER BY created_at, id
LIMIT :size OFFSET :skip;

-- name: count_tokens
SELECT count(*) FROM api_token WHERE company_id = :company_id;

-- name: revoke_token
-- A token of this organization, or of any if that is null.
UPDATE api_token
SET revoked = true
WHERE id = :id AND (:company_id::integer IS NULL OR company_id = :company_id)
RETURNING id;
