-- Chunks come by themselves.
CREATE OR REPLACE FUNCTION prepare_storage() RETURNS void LANGUAGE sql AS '';
