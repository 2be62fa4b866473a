-- The databases and buckets that InfluxDB's clients create before they write: names that they can find again, no more.
CREATE TABLE influx_database (
    company_id integer NOT NULL REFERENCES organization ON DELETE CASCADE,
    name text COLLATE "C" NOT NULL,
    made_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (company_id, name)
);
