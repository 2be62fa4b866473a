-- Makes room for the months to come. Nobody sends web records of the past, so that needs little.
CREATE OR REPLACE FUNCTION prepare_storage() RETURNS void LANGUAGE sql AS $$
SELECT make_partitions('reading', false);
SELECT make_partitions('web_record', true);
$$;
