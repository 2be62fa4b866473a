-- Partitions for all readings that there can be, made ahead of them by prepare_storage() instead of on demand by this: see
-- docs/decisions.md, "Partitions".
DROP FUNCTION IF EXISTS prepare_reading_storage(bigint []);
