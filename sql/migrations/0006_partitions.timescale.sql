-- Chunks come by themselves.
DROP FUNCTION IF EXISTS prepare_reading_storage(bigint []);
