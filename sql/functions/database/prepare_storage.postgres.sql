-- Creates partitions for the coming months. Nobody sends web records of the past, so its partitions may be coarse.
CREATE OR REPLACE FUNCTION prepare_storage() RETURNS void LANGUAGE sql AS $$
SELECT make_partitions('segment', false);
SELECT make_partitions('web_record', true);
$$;
