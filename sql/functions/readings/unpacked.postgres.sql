-- The readings of a segment from one position to another; a null array is one of nulls. The planner inlines it. Callers
-- take segments from a subquery with OFFSET 0, so that the positions are computed once.
CREATE OR REPLACE FUNCTION unpacked(
    first_at timestamptz,
    step bigint,
    first integer,
    last integer,
    at timestamptz [],
    val double precision [],
    latitudes double precision [] DEFAULT NULL,
    longitudes double precision [] DEFAULT NULL,
    x_axis_values double precision [] DEFAULT NULL,
    metadata_texts text [] DEFAULT NULL
) RETURNS TABLE (
    ts timestamptz,
    value double precision,
    latitude double precision,
    longitude double precision,
    x_axis_value double precision,
    metadata text
) LANGUAGE sql STABLE AS $$
SELECT
    coalesce(p.at, first_at + (p.number - 1) * step * interval '1 microsecond'),
    p.val, p.latitude, p.longitude, p.x_axis_value, p.metadata
FROM (
    SELECT
        generate_series(first, last) AS number,
        unnest(at[first:last]) AS at,
        unnest(val[first:last]) AS val,
        unnest(latitudes[first:last]) AS latitude,
        unnest(longitudes[first:last]) AS longitude,
        unnest(x_axis_values[first:last]) AS x_axis_value,
        unnest(metadata_texts[first:last]) AS metadata
) AS p
$$;
