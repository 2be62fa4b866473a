-- The buckets of the roll-ups that a day belongs to.
CREATE OR REPLACE FUNCTION buckets_of(day date) RETURNS TABLE (period text, bucket date) LANGUAGE sql IMMUTABLE AS $$
    VALUES
    ('day', day),
    ('week', date_trunc('week', day::timestamp)::date),
    ('month', date_trunc('month', day::timestamp)::date)
$$;
