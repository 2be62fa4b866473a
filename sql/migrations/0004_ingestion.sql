-- The last asset id that was made up; those of deleted assets are not given out again.
ALTER TABLE organization ADD COLUMN last_asset_id bigint NOT NULL DEFAULT 0;

-- What an organization may send: sensors made on first sight, readings a minute (null: any number).

ALTER TABLE organization
ADD COLUMN sensor_limit integer NOT NULL DEFAULT 100000,
ADD COLUMN readings_per_minute integer;

-- Readings taken in the current minute, of organizations with a limit; one counter for all server processes.
CREATE TABLE ingest_usage (
    company_id integer PRIMARY KEY REFERENCES organization ON DELETE CASCADE,
    minute timestamptz NOT NULL,
    readings bigint NOT NULL
) WITH (fillfactor = 50);
