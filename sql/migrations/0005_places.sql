-- Locations, assets that are cooling units, websites, and requests counted against limits.

CREATE TABLE location (
    company_id integer NOT NULL REFERENCES organization ON DELETE CASCADE,
    id integer NOT NULL,
    name text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (company_id, id)
);
ALTER TABLE organization ADD COLUMN last_location_id bigint NOT NULL DEFAULT 0;

ALTER TABLE asset
ADD COLUMN location_id integer,
ADD COLUMN is_cooling_unit boolean NOT NULL DEFAULT false,
ADD COLUMN capacity_crates integer,
ADD COLUMN capacity_kg double precision,
ADD FOREIGN KEY (company_id, location_id) REFERENCES location (company_id, id) ON DELETE SET NULL (location_id);
CREATE INDEX asset_location ON asset (company_id, location_id);

CREATE TABLE site (
    site_number integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    site_id text COLLATE "C" NOT NULL UNIQUE,
    company_id integer NOT NULL REFERENCES organization ON DELETE CASCADE,
    name text NOT NULL,
    domain text NOT NULL,
    timezone text NOT NULL,
    is_active boolean NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX site_company ON site (company_id, site_id);

-- Requests in the current minute, with one counter for all server processes. If the server crashes, at most a minute's
-- count is lost, so the counter needs no write-ahead log.
CREATE UNLOGGED TABLE token_usage (
    token_id uuid PRIMARY KEY REFERENCES api_token ON DELETE CASCADE,
    minute timestamptz NOT NULL,
    requests bigint NOT NULL
) WITH (fillfactor = 50);
