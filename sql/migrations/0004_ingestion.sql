-- The last asset id that was generated; the ids of deleted assets are not generated again.
ALTER TABLE organization ADD COLUMN last_asset_id bigint NOT NULL DEFAULT 0;

-- What an organization may send: how many sensors new series may bring it to, and readings a minute (null: any number).

ALTER TABLE organization
ADD COLUMN sensor_limit integer NOT NULL DEFAULT 100000,
ADD COLUMN readings_per_minute integer;

-- Readings accepted in the current minute from organizations with a limit; one counter for all server processes.
CREATE TABLE ingest_usage (
    company_id integer PRIMARY KEY REFERENCES organization ON DELETE CASCADE,
    minute timestamptz NOT NULL,
    readings bigint NOT NULL
) WITH (fillfactor = 50);
