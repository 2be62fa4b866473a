-- How many readings of a segment are not after an instant within it; sometimes one less, as it computes in doubles. The
-- planner inlines it.
CREATE OR REPLACE FUNCTION segment_position(moment timestamptz, first_at timestamptz, step bigint, at timestamptz [])
RETURNS integer LANGUAGE sql STABLE AS $$
SELECT CASE
    WHEN at IS NOT NULL THEN width_bucket(moment, at)
    WHEN step > 0 THEN (floor(date_part('epoch', moment - first_at) * 1000000 / step) + 1)::integer
    ELSE 1
END
$$;
