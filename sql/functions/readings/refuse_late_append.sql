-- Refuses an append that comes after its deadline: one that its writer has given up must not come back later and win over
-- what was written since. The transaction has its id by now (the default of xid is there before this looks), so whoever
-- writes later has a greater one.
CREATE OR REPLACE FUNCTION refuse_late_append() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF clock_timestamp() > new.deadline THEN
        RAISE EXCEPTION 'This append came after its deadline.' USING ERRCODE = 'query_canceled';
    END IF;
    RETURN new;
END
$$;

CREATE OR REPLACE TRIGGER late_append BEFORE INSERT ON reading_log
FOR EACH ROW EXECUTE FUNCTION refuse_late_append();
