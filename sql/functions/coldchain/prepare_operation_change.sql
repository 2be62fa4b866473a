-- Room for what a transaction changes: operations that come in; operations that go (sign -1) or come (sign 1).
CREATE OR REPLACE FUNCTION prepare_operation_change() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    CREATE TEMPORARY TABLE IF NOT EXISTS incoming_operation (LIKE operation) ON COMMIT DELETE ROWS;
    CREATE TEMPORARY TABLE IF NOT EXISTS operation_change (
        LIKE operation, sign integer NOT NULL, day date, customer integer
    ) ON COMMIT DELETE ROWS;
END
$$;
