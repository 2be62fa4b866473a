-- What clients of InfluxDB made as a database or bucket before they wrote: a name that they find again, and no more.
CREATE TABLE influx_database (
    company_id integer NOT NULL REFERENCES organization ON DELETE CASCADE,
    name text COLLATE "C" NOT NULL,
    made_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (company_id, name)
);
