-- Drops the partitions of the old table whose rows have moved to segments, vacuumed: their indexes would keep their size,
-- and every query considers them. Only where nothing is left on disk, since rows that an older snapshot still needs would
-- vanish for it.
CREATE OR REPLACE FUNCTION finish_conversion() RETURNS void LANGUAGE plpgsql SET lock_timeout = '1s' AS $$
DECLARE
    partition regclass;
BEGIN
    FOR partition IN
        SELECT inhrelid::regclass
        FROM pg_inherits
        WHERE inhparent = 'unpacked_reading'::regclass AND pg_relation_size(inhrelid) = 0
    LOOP
        EXECUTE format('DROP TABLE %s', partition);
    END LOOP;
END
$$;
