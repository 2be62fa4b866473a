-- TimescaleDB creates chunks by itself.
DROP FUNCTION IF EXISTS prepare_reading_storage(bigint []);
