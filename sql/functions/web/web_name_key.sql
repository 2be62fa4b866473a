-- The key that web_name stores in place of a name, which may be long.
CREATE OR REPLACE FUNCTION web_name_key(name text) RETURNS bytea LANGUAGE sql STABLE AS $$
    SELECT substring(sha256(convert_to(name, 'UTF8')) FROM 1 FOR 16)
$$;
