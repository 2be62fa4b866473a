-- The line that decides what a transaction has to mark. The lock is held until the end of the transaction, so the line
-- cannot move in the meantime. A separate statement reads the line, so that it sees the value after locking.
CREATE OR REPLACE FUNCTION hold_mark_line() RETURNS timestamptz LANGUAGE plpgsql AS $$
DECLARE
    line timestamptz;
BEGIN
    PERFORM pg_advisory_xact_lock_shared(7463002);
    SELECT mark_line INTO STRICT line FROM rollup_line;
    RETURN line;
END
$$;
