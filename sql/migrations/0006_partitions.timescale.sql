-- Chunks come by themselves.
DROP FUNCTION prepare_reading_storage(bigint []);
CREATE FUNCTION prepare_storage() RETURNS void LANGUAGE sql AS '';
