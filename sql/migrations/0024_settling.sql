-- What the settler keeps; docs/decisions.md, "The settler", describes what it does. Advisory locks: 7463001 migrations,
-- 7463003 the maintenance job, 7463004 partitions, 7463005 with a company id: the sensors that its new series create,
-- 7463006 the store: whoever changes it, 7463007 the lines of web records, 7463008 the maintenance of web records.

-- Readers trust roll-ups before the line; they hold everything that is stored there.
ALTER TABLE rollup_line DROP COLUMN mark_line;

-- The greatest transaction whose readings have been settled. None below it may appear in the log again.
CREATE TABLE settled (
    single boolean PRIMARY KEY DEFAULT true CHECK (single),
    xid xid8 NOT NULL
);
INSERT INTO settled (xid) VALUES ('0');

-- The newest stored reading of each series that has one.
CREATE TABLE newest_stored (
    series_id integer PRIMARY KEY,
    ts timestamptz NOT NULL,
    value double precision NOT NULL
) WITH (fillfactor = 50);
INSERT INTO newest_stored (series_id, ts, value)
SELECT s.series_id, r.ts, r.value
FROM sensor AS s
CROSS JOIN LATERAL (
    SELECT ts, value FROM reading WHERE series_id = s.series_id ORDER BY ts DESC LIMIT 1
) AS r;

-- Series of deleted sensors, whose readings the settler has yet to delete. Their numbers are never used again.
CREATE TABLE forgotten_series (
    series_id integer PRIMARY KEY
);

-- Deleting is done under the lock of the store, and nothing is marked.
DROP FUNCTION IF EXISTS delete_readings(integer, timestamptz, timestamptz);
DROP FUNCTION IF EXISTS forget_series(integer);
DROP FUNCTION IF EXISTS hold_mark_line();
