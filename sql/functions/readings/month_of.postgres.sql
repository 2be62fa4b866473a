-- The beginning of the UTC month of an instant. No segment crosses one. IMMUTABLE, so that the planner knows which
-- partitions a window needs.
CREATE OR REPLACE FUNCTION month_of(moment timestamptz) RETURNS timestamptz LANGUAGE sql IMMUTABLE AS $$
SELECT date_trunc('month', moment AT TIME ZONE 'UTC') AT TIME ZONE 'UTC'
$$;
