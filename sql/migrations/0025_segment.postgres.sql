-- The store as packed segments: up to a thousand readings of a series in a row, instead of one row for each.
CREATE TABLE segment (
    series_id integer NOT NULL,
    first_at timestamptz NOT NULL,
    last_at timestamptz NOT NULL,
    readings integer NOT NULL,
    -- Microseconds between a reading and the next, if `at` is null.
    step bigint NOT NULL,
    -- The instant of each reading, ascending; null if they are the same time apart.
    at timestamptz [],
    value double precision [] NOT NULL,
    -- Null where no reading of the segment has one.
    latitude double precision [],
    longitude double precision [],
    x_axis_value double precision [],
    metadata text [],
    -- The segments of a series are disjoint in time, so first_at alone is unique as well. last_at is part of the key so
    -- that a search by window compares it in the index.
    PRIMARY KEY (series_id, first_at, last_at)
) PARTITION BY RANGE (first_at);
-- Finds the segments of all series for a roll-up, and for merging.
CREATE INDEX segment_at ON segment USING brin (first_at, last_at) WITH (pages_per_range = 32);

-- Hours, days and months whose small segments are to be merged.
CREATE TABLE segment_merge (
    start timestamptz NOT NULL,
    finish timestamptz NOT NULL,
    due_at timestamptz NOT NULL,
    PRIMARY KEY (start, finish)
);

-- With lz4, arrays take less space and time. The older compression, pglz, takes more time than it is worth.
DO $$
DECLARE
    attribute text;
    has_lz4 CONSTANT boolean :=
        'lz4' = ANY ((SELECT enumvals FROM pg_settings WHERE name = 'default_toast_compression')::text []);
BEGIN
    FOREACH attribute IN ARRAY ARRAY['at', 'value', 'latitude', 'longitude', 'x_axis_value'] LOOP
        IF has_lz4 THEN
            EXECUTE format('ALTER TABLE segment ALTER %I SET COMPRESSION lz4', attribute);
        ELSE
            EXECUTE format('ALTER TABLE segment ALTER %I SET STORAGE EXTERNAL', attribute);
        END IF;
    END LOOP;
    IF has_lz4 THEN
        ALTER TABLE segment ALTER metadata SET COMPRESSION lz4;
    END IF;
END
$$;

-- What is stored already stays readable where it is, until it has moved to segments in the background. No row of a
-- series lies between the first and the last instant of one of its segments.
ALTER TABLE reading RENAME TO unpacked_reading;
-- Every query would have to consider its partitions; those without rows go.
DO $$
DECLARE
    partition regclass;
    has_rows boolean;
BEGIN
    FOR partition IN SELECT inhrelid::regclass FROM pg_inherits WHERE inhparent = 'unpacked_reading'::regclass LOOP
        EXECUTE format('SELECT EXISTS (SELECT FROM %s)', partition) INTO has_rows;
        IF NOT has_rows THEN
            EXECUTE format('DROP TABLE %s', partition);
        END IF;
    END LOOP;
END
$$;
