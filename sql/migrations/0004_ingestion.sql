-- The last asset id that was made up; those of deleted assets are not given out again.
ALTER TABLE organization ADD COLUMN last_asset_id bigint NOT NULL DEFAULT 0;

-- What an organization may send: sensors made on first sight, readings a minute (null: any number).

ALTER TABLE organization
ADD COLUMN sensor_limit integer NOT NULL DEFAULT 100000,
ADD COLUMN readings_per_minute integer;

-- Only what server processes remember is worth telling them.
DROP TRIGGER organization_changed ON organization;
CREATE TRIGGER organization_changed
AFTER UPDATE OF api_key_hash, sensor_limit, readings_per_minute OR DELETE ON organization
FOR EACH ROW EXECUTE FUNCTION announce_catalog_change();

-- Readings taken in the current minute, of organizations with a limit; one counter for all server processes.
CREATE TABLE ingest_usage (
    company_id integer PRIMARY KEY REFERENCES organization ON DELETE CASCADE,
    minute timestamptz NOT NULL,
    readings bigint NOT NULL
) WITH (fillfactor = 50);

-- Deletes a sensor's readings with start ≤ ts < finish; statistics are exact as soon as the transaction has committed.
CREATE FUNCTION delete_readings(series integer, start timestamptz, finish timestamptz) RETURNS bigint
LANGUAGE plpgsql AS $$
DECLARE
    line CONSTANT timestamptz := hold_mark_line();
    deleted bigint;
BEGIN
    WITH gone AS (
        DELETE FROM reading WHERE series_id = series AND ts >= start AND ts < finish RETURNING ts
    ),

    marked AS (
        INSERT INTO late_mark (series_id, hour)
        SELECT DISTINCT series, date_bin('1 hour', ts, 'epoch') FROM gone WHERE ts < line
    )

    SELECT count(*) INTO deleted FROM gone;
    RETURN deleted;
END
$$;
