-- Tenants, their keys, and what exists before data: assets and sensors.

CREATE TABLE organization (
    company_id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    organization_id text COLLATE "C" NOT NULL UNIQUE,
    name text NOT NULL,
    country text,
    currency text NOT NULL DEFAULT 'USD',
    timezone text NOT NULL DEFAULT 'UTC',
    api_key_hash bytea NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);

-- Only the SHA-256 of a key or token is stored: a stolen database opens nothing.
CREATE TABLE api_token (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    company_id integer NOT NULL REFERENCES organization ON DELETE CASCADE,
    name text NOT NULL,
    token_hash bytea NOT NULL UNIQUE,
    scopes text [] NOT NULL,
    cooling_unit_ids integer [] NOT NULL DEFAULT '{}',
    rate_limit integer NOT NULL DEFAULT 100,
    expires_at timestamptz,
    last_used_at timestamptz,
    revoked boolean NOT NULL DEFAULT false,
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX api_token_company ON api_token (company_id, created_at, id);

CREATE TABLE asset (
    company_id integer NOT NULL REFERENCES organization ON DELETE CASCADE,
    id integer NOT NULL,
    name text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (company_id, id)
);

-- A sensor is known to its tenant by its text id, and to the readings by a small number that is never used again.
CREATE TABLE sensor (
    series_id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    company_id integer NOT NULL REFERENCES organization ON DELETE CASCADE,
    id text COLLATE "C" NOT NULL,
    name text NOT NULL,
    measure_unit text,
    asset_id integer,
    specification_type text,
    created_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (company_id, id),
    FOREIGN KEY (company_id, asset_id) REFERENCES asset (company_id, id) ON DELETE SET NULL (asset_id)
);
CREATE INDEX sensor_asset ON sensor (company_id, asset_id);
CREATE INDEX sensor_name ON sensor (company_id, name);
