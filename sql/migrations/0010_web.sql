-- Web analytics: roll-ups by site day, the lines and marks that keep them exact, and the keys of visitors. Advisory
-- lock 7463007: the lines.

-- Roll-ups by site and day; a day without records has no row. `viewers` are visitors with a page view.
CREATE TABLE web_daily (
    site_number integer NOT NULL,
    day date NOT NULL,
    visitors bigint NOT NULL,
    viewers bigint NOT NULL,
    pageviews bigint NOT NULL,
    sessions bigint NOT NULL,
    bounces bigint NOT NULL,
    duration_us bigint NOT NULL,
    PRIMARY KEY (site_number, day)
);

-- The number of page views (for the facet `event`, custom events) of a day by one of their properties: `page`,
-- `referrer`, `browser`, `country` or `event`. Visitors are counted only for pages.
CREATE TABLE web_daily_facet (
    site_number integer NOT NULL,
    day date NOT NULL,
    facet text COLLATE "C" NOT NULL,
    name text COLLATE "C" NOT NULL,
    records bigint NOT NULL,
    visitors bigint,
    PRIMARY KEY (site_number, day, facet, name)
);

-- The facets of the days before a site's read_day, summed up over as many days as complete a range that ends with
-- read_day itself.
CREATE TABLE web_recent_facet (
    site_number integer NOT NULL,
    facet text COLLATE "C" NOT NULL,
    name text COLLATE "C" NOT NULL,
    records_7 bigint NOT NULL,
    records_30 bigint NOT NULL,
    records_90 bigint NOT NULL,
    PRIMARY KEY (site_number, facet, name)
);

-- Writers mark a site's days before mark_day; readers trust roll-ups before read_day, which is never after it. The
-- protocol is that of readings: docs/decisions.md, "Exact web analytics". A site without a line has no roll-ups.
CREATE TABLE web_line (
    site_number integer PRIMARY KEY REFERENCES site ON DELETE CASCADE,
    mark_day date NOT NULL DEFAULT '0001-01-01',
    read_day date NOT NULL DEFAULT '0001-01-01',
    CHECK (read_day <= mark_day)
);

-- Append-only, like late_mark.
CREATE TABLE web_late_mark (
    site_number integer NOT NULL,
    day date NOT NULL
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000);
CREATE INDEX web_late_mark_site ON web_late_mark (site_number, day);

-- The random keys that turn addresses into visitors. The table is vacuumed as soon as a key is destroyed, so that it is
-- gone from the disk.
CREATE TABLE visitor_key (
    site_number integer NOT NULL REFERENCES site ON DELETE CASCADE,
    day date NOT NULL,
    key bytea NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (site_number, day)
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 0);
