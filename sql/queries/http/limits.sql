-- name: count_request
-- Counts a request of a token in this minute; no row if the token is revoked.
INSERT INTO token_usage AS u (token_id, minute, requests)
SELECT id, date_trunc('minute', now(), 'UTC'), 1 FROM api_token WHERE id = :token_id AND NOT revoked
ON CONFLICT (token_id) DO UPDATE SET
    minute = greatest(u.minute, excluded.minute),
    requests = CASE WHEN u.minute < excluded.minute THEN 1 ELSE u.requests + 1 END
RETURNING requests, minute + interval '1 minute' AS resets_at, now() AS counted_at;
