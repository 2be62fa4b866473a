-- TimescaleDB creates chunks by itself.
CREATE OR REPLACE FUNCTION prepare_storage() RETURNS void LANGUAGE sql AS '';
