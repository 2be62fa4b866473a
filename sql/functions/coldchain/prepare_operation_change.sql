-- Creates the temporary tables of a transaction's changes: operations that were sent, and operations that are removed
-- (sign -1) or added (sign 1).
CREATE OR REPLACE FUNCTION prepare_operation_change() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    CREATE TEMPORARY TABLE IF NOT EXISTS incoming_operation (LIKE operation) ON COMMIT DELETE ROWS;
    CREATE TEMPORARY TABLE IF NOT EXISTS operation_change (
        LIKE operation, sign integer NOT NULL, day date, customer integer
    ) ON COMMIT DELETE ROWS;
END
$$;
