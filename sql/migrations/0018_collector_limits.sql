-- Limits of the public collector: records a minute per site and per address, and distinct names in a site's day. See
-- docs/decisions.md, "Limits of the collector". Advisory lock 7463011 with a site number: its names.

-- Minutes are counted since 1970 UTC; the maintenance job deletes those that are over. If the server crashes, a
-- minute's counts are lost, so they need no write-ahead log, and therefore are in no archive of it either.
CREATE UNLOGGED TABLE address_key (
    minute integer PRIMARY KEY,
    key bytea NOT NULL
);

-- An address is stored as a hash with the key of the minute.
CREATE UNLOGGED TABLE address_usage (
    minute integer NOT NULL,
    address uuid NOT NULL,
    records bigint NOT NULL,
    PRIMARY KEY (minute, address)
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000);
CREATE UNLOGGED TABLE site_usage (
    minute integer NOT NULL,
    site_number integer NOT NULL,
    records bigint NOT NULL,
    PRIMARY KEY (minute, site_number)
) WITH (fillfactor = 50);

-- The names in a site's day, by facet: `page`, `event`, `referrer`, `browser`. They may be long, so this is the first
-- half of their SHA-256. They are needed as long as the day may get records.
CREATE TABLE web_name (
    site_number integer NOT NULL,
    day date NOT NULL,
    facet text COLLATE "C" NOT NULL,
    name bytea NOT NULL,
    PRIMARY KEY (site_number, day, facet, name)
);
CREATE TABLE web_name_count (
    site_number integer NOT NULL,
    day date NOT NULL,
    facet text COLLATE "C" NOT NULL,
    names integer NOT NULL,
    PRIMARY KEY (site_number, day, facet)
) WITH (fillfactor = 50);

-- The function now has more parameters.
DROP FUNCTION IF EXISTS write_web_records(
    integer [], bigint [], bigint [], date [], uuid [], text [], text [], text [], text [], text [], text []
);
