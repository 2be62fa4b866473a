-- The hours (UTC) of each sensor that have readings. Rounding may put the quotient just outside of the extremes.
CREATE OR REPLACE VIEW tidemark.reading_hourly WITH (security_barrier) AS
SELECT
    company_id, id AS sensor, bucket, sample_count, value_min AS min, value_max AS max,
    least(greatest(value_sum / sample_count, value_min), value_max) AS avg
FROM own_hour;

GRANT SELECT ON tidemark.reading_hourly TO public;
