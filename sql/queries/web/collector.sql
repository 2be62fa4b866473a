-- name: write_web_records
-- Returns the refused records, as place counted from 1 and the limit that they exceed: `address` or `site`.
SELECT place, refusal
FROM write_web_records(
    :site_numbers, :at_us, :ids, :days, :visitors, :kinds, :pathnames, :events, :referrers, :browsers, :countries,
    :addresses, :per_site, :per_address, :most_names
);

-- name: address_key
-- The key of a minute, which the first caller stores.
INSERT INTO address_key AS k (minute, key) VALUES (:minute, :key)
ON CONFLICT (minute) DO UPDATE SET key = k.key
RETURNING key;

-- name: make_visitor_key
-- The first caller stores the key; all others wait for that commit and then read the same key.
INSERT INTO visitor_key (site_number, day, key)
SELECT site_number, :day, :key FROM site WHERE site_number = :site_number
ON CONFLICT DO NOTHING;

-- name: read_visitor_key
SELECT key, extract(epoch FROM now() - created_at)::double precision AS age_seconds
FROM visitor_key
WHERE site_number = :site_number AND day = :day;

-- name: destroy_visitor_keys
DELETE FROM visitor_key WHERE created_at <= now() - interval '2 days';

-- name: forget_collected
-- The counts of minutes that are over, with their keys, and the names of days that no longer get records.
WITH line AS (
    SELECT (extract(epoch FROM now()) / 60)::integer - 2 AS minute, (now() - interval '2 days')::date AS day
),

keys AS (
    DELETE FROM address_key AS k USING line WHERE k.minute < line.minute
),

addresses AS (
    DELETE FROM address_usage AS u USING line WHERE u.minute < line.minute
),

sites AS (
    DELETE FROM site_usage AS u USING line WHERE u.minute < line.minute
),

names AS (
    DELETE FROM web_name AS n USING line WHERE n.day < line.day
)

DELETE FROM web_name_count AS c USING line WHERE c.day < line.day;
