-- prepare_storage() creates partitions for all possible readings in advance; this function created them on demand. See
-- docs/decisions.md, "Partitions".
DROP FUNCTION IF EXISTS prepare_reading_storage(bigint []);
