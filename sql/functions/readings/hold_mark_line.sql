-- The line that decides what a transaction has to mark. The lock is held to its end, so the line cannot pass it; being
-- a statement of its own, the line is read after the lock has been had.
CREATE OR REPLACE FUNCTION hold_mark_line() RETURNS timestamptz LANGUAGE plpgsql AS $$
DECLARE
    line timestamptz;
BEGIN
    PERFORM pg_advisory_xact_lock_shared(7463002);
    SELECT mark_line INTO STRICT line FROM rollup_line;
    RETURN line;
END
$$;
