-- Web analytics: collected records, as a table partitioned by month.

CREATE TYPE web_record_kind AS ENUM ('pageview', 'event', 'leave');

-- A page view, a custom event, or a leave. `day` is the site's day when it arrived; `visitor` is valid for that day
-- only. The id distinguishes records of the same instant, and a batch that is sent again from a new one.
CREATE TABLE web_record (
    site_number integer NOT NULL,
    ts timestamptz NOT NULL,
    id bigint NOT NULL,
    day date NOT NULL,
    visitor uuid NOT NULL,
    kind web_record_kind NOT NULL,
    pathname text COLLATE "C" NOT NULL,
    event text COLLATE "C",
    referrer text COLLATE "C",
    browser text COLLATE "C",
    country text COLLATE "C",
    PRIMARY KEY (site_number, ts, id)
) PARTITION BY RANGE (ts);
