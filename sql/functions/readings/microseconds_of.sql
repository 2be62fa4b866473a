-- An instant in microseconds since 1970 UTC; infinity, at which a window may end, is the greatest number.
CREATE OR REPLACE FUNCTION microseconds_of(moment timestamptz) RETURNS bigint LANGUAGE sql STABLE AS $$
SELECT CASE WHEN moment < 'infinity' THEN (extract(epoch FROM moment) * 1000000)::bigint ELSE 9223372036854775807 END
$$;
