-- What keeps statistics exact while late readings arrive; docs/decisions.md, "Exact statistics", describes the
-- protocol. Advisory locks: 7463001 migrations, 7463002 the mark line, 7463003 the maintenance job, 7463004 partitions,
-- 7463005 with a company id: the sensors that its new series create.

-- Writers mark what they change before mark_line; readers trust roll-ups before read_line, which is never after it.
CREATE TABLE rollup_line (
    single boolean PRIMARY KEY DEFAULT true CHECK (single),
    mark_line timestamptz NOT NULL,
    read_line timestamptz NOT NULL,
    CHECK (read_line <= mark_line)
);
-- No reading was stored before this table exists, so the roll-ups of all hours up to now are correct: they are empty.
INSERT INTO rollup_line (mark_line, read_line)
VALUES (date_trunc('hour', now(), 'UTC'), date_trunc('hour', now(), 'UTC'));

-- Append-only: an hour that changed twice has two rows, and only a repair that has seen a row deletes it.
CREATE TABLE late_mark (
    series_id integer NOT NULL,
    hour timestamptz NOT NULL
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000);
CREATE INDEX late_mark_series ON late_mark (series_id, hour);
