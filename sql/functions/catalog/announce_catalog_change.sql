-- Server processes keep keys and sensors in memory; this tells them whose to forget.
CREATE OR REPLACE FUNCTION announce_catalog_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('tidemark_catalog', OLD.company_id::text);
    RETURN NULL;
END
$$;

-- The triggers fire only for columns that server processes remember.
CREATE OR REPLACE TRIGGER organization_changed
AFTER UPDATE OF api_key_hash, sensor_limit, readings_per_minute OR DELETE ON organization
FOR EACH ROW EXECUTE FUNCTION announce_catalog_change();

CREATE OR REPLACE TRIGGER sensor_changed AFTER UPDATE OR DELETE ON sensor
FOR EACH ROW EXECUTE FUNCTION announce_catalog_change();

CREATE OR REPLACE TRIGGER token_changed
AFTER UPDATE OF scopes, cooling_unit_ids, rate_limit, expires_at, revoked OR DELETE ON api_token
FOR EACH ROW EXECUTE FUNCTION announce_catalog_change();

CREATE OR REPLACE TRIGGER site_changed AFTER UPDATE OF domain, timezone, is_active OR DELETE ON site
FOR EACH ROW EXECUTE FUNCTION announce_catalog_change();
