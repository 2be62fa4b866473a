-- Counts readings against an organization's limit for this minute. Returns how many of those asked for may be stored:
-- as many as there is room for or, if `together`, all or none.
CREATE OR REPLACE FUNCTION spend_readings(company integer, asked bigint, together boolean)
RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    this_minute CONSTANT timestamptz := date_trunc('minute', now(), 'UTC');
    per_minute bigint;
    spent bigint;
    granted bigint;
BEGIN
    SELECT readings_per_minute INTO per_minute FROM organization WHERE company_id = company;
    IF per_minute IS NULL THEN
        RETURN asked;
    END IF;
    INSERT INTO ingest_usage (company_id, minute, readings) VALUES (company, this_minute, 0)
    ON CONFLICT (company_id) DO NOTHING;
    SELECT CASE WHEN minute >= this_minute THEN readings ELSE 0 END INTO spent
    FROM ingest_usage WHERE company_id = company FOR UPDATE;
    granted := least(asked, greatest(per_minute - spent, 0));
    IF together AND granted < asked THEN
        RETURN 0;
    END IF;
    UPDATE ingest_usage SET minute = greatest(minute, this_minute), readings = spent + granted
    WHERE company_id = company;
    RETURN granted;
END
$$;
