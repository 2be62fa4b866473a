-- The instant that is this many microseconds after 1970 UTC. Seconds are added apart, since an interval multiplied by
-- more microseconds than a double can hold exactly, those after the year 2255, would be rounded. STABLE, as the addition
-- of an interval is, or it would not be inlined.
CREATE OR REPLACE FUNCTION instant_of(us bigint) RETURNS timestamptz LANGUAGE sql STABLE AS $$
SELECT 'epoch'::timestamptz + us / 1000000 * interval '1 second' + us % 1000000 * interval '1 microsecond'
$$;
