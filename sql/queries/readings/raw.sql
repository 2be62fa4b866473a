-- part: is_not_overridden
-- Whether a stored reading is not in the log too, where s is its row of series_with_unsettled.
ts < s.first_at OR ts > s.last_at OR ts <> s.ts[width_bucket(ts, s.ts)]

-- part: first_readings(stored, order)
-- The first readings of each series in a window, in order within the series. With a limit inside LATERAL, the only
-- possible join is a nested loop, so the rows of a series come together and in order, without a sort of all rows.
-- The log overrides at most as many stored readings as it has. They are filtered outside of that limit, because otherwise
-- TimescaleDB would exclude chunks anew for each series.
SELECT s.series_id, r.ts, r.value, r.latitude, r.longitude, r.x_axis_value, r.metadata
FROM series_with_unsettled(:series_ids::integer [], :start::timestamptz, :finish::timestamptz, true) AS s
CROSS JOIN LATERAL (
    (
        SELECT *
        FROM (
            SELECT ts, value, latitude, longitude, x_axis_value, metadata
            FROM {stored}
            ORDER BY {order}
            LIMIT :max_rows::bigint + coalesce(cardinality(s.ts), 0)
        ) AS stored
        WHERE {is_not_overridden}
        ORDER BY {order}
    )
    UNION ALL
    (
        SELECT
            unnest(s.ts) AS ts, unnest(s.value) AS value,
            unnest(s.latitude), unnest(s.longitude), unnest(s.x_axis_value), unnest(s.metadata)
        ORDER BY {order}
    )
    ORDER BY {order}
    LIMIT :max_rows
) AS r

-- name: readings_by_timestamp_asc
{first_readings(first_stored(s.series_id, :start, :finish, :max_rows::bigint + coalesce(cardinality(s.ts), 0)); ts)};

-- name: readings_by_timestamp_desc
{first_readings(last_stored(s.series_id, :start, :finish, :max_rows::bigint + coalesce(cardinality(s.ts), 0)); ts DESC)};

-- name: readings_by_value_asc
{first_readings(stored_readings(s.series_id, :start, :finish); value, ts)};

-- name: readings_by_value_desc
{first_readings(stored_readings(s.series_id, :start, :finish); value DESC, ts DESC)};

-- name: sensors_to_export
SELECT series_id, id
FROM sensor
WHERE company_id = :company_id AND (:ids::text [] IS NULL OR id = ANY (:ids))
ORDER BY id;
