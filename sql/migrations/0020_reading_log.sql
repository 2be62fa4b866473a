-- The log of readings: each commit appends a run, its readings sorted by company, series and instant, in rows of about
-- a thousand. Nothing in it is ever updated; the settler moves its rows to the store and deletes them.
CREATE TABLE reading_log (
    run bigint GENERATED ALWAYS AS IDENTITY,
    -- The greater one wins where two runs have a reading of the same series and instant; those of one transaction never
    -- have.
    xid xid8 NOT NULL DEFAULT pg_current_xact_id(),
    -- When the writer gives this append up, by the clock of the database.
    deadline timestamptz NOT NULL,
    company_id integer NOT NULL,
    readings integer NOT NULL,
    first_series integer NOT NULL,
    last_series integer NOT NULL,
    least_at timestamptz NOT NULL,
    greatest_at timestamptz NOT NULL,
    -- Distinct and ascending; readings of the n-th stand from the n-th of starts (counted from 1) to before the next.
    series integer [] NOT NULL,
    starts integer [] NOT NULL,
    -- Microseconds since 1970, ascending within a series.
    at bigint [] NOT NULL,
    value double precision [] NOT NULL,
    -- Null where no reading of the row has one.
    latitude double precision [],
    longitude double precision [],
    x_axis_value double precision [],
    metadata text []
) WITH (autovacuum_enabled = false);

-- The arrays are compressed where lz4 is at hand: it costs next to nothing and saves two thirds of the write-ahead log.
-- The compression of old, pglz, doubles the processor time of an append, so without lz4 numbers are not compressed.
DO $$
DECLARE
    attribute text;
    has_lz4 boolean := 'lz4' = ANY ((SELECT enumvals FROM pg_settings WHERE name = 'default_toast_compression')::text []);
BEGIN
    FOREACH attribute IN ARRAY ARRAY['series', 'starts', 'at', 'value', 'latitude', 'longitude', 'x_axis_value'] LOOP
        IF has_lz4 THEN
            EXECUTE format('ALTER TABLE reading_log ALTER %I SET COMPRESSION lz4', attribute);
        ELSE
            EXECUTE format('ALTER TABLE reading_log ALTER %I SET STORAGE EXTERNAL', attribute);
        END IF;
    END LOOP;
    IF has_lz4 THEN
        ALTER TABLE reading_log ALTER metadata SET COMPRESSION lz4;
    END IF;
END
$$;
