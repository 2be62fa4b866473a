-- Null is a token without a rate limit.
ALTER TABLE api_token ALTER COLUMN rate_limit DROP NOT NULL;
