-- A token without a limit of requests.
ALTER TABLE api_token ALTER COLUMN rate_limit DROP NOT NULL;
