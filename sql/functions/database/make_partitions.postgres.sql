-- Creates the missing partitions of a table from 1970 to thirteen months from now: months for the last two years and
-- the future; before that, years back to 2010 and one partition each for the 2000s and for 1970 to 1999, or, if
-- `coarse`, a single partition. Locks the table against everybody meanwhile: a partition that is created while a
-- session builds its list of partitions can be missing from that list, even for reading, as long as the session lives;
-- see docs/decisions.md, "Partitions". Raises lock_not_available if the table stays busy.
CREATE OR REPLACE FUNCTION make_partitions(parent text, coarse boolean) RETURNS void
LANGUAGE plpgsql SET timezone = 'UTC' SET lock_timeout = '1s' AS $$
DECLARE
    this_month CONSTANT timestamptz := date_trunc('month', now());
    piece record;
    partition text;
BEGIN
    IF to_regclass(parent || to_char(this_month + interval '13 months', '"_"YYYY_MM')) IS NOT NULL THEN
        RETURN;
    END IF;
    EXECUTE format('LOCK TABLE %I IN ACCESS EXCLUSIVE MODE', parent);
    FOR piece IN
        WITH existing AS (
            SELECT bounds[1]::timestamptz AS start, bounds[2]::timestamptz AS finish
            FROM pg_inherits
            INNER JOIN pg_class ON pg_class.oid = inhrelid
            CROSS JOIN LATERAL
                regexp_match(pg_get_expr(relpartbound, inhrelid), 'FROM \(''([^'']+)''\) TO \(''([^'']+)''\)') AS bounds
            WHERE inhparent = parent::regclass
        ),

        missing AS (
            SELECT
                month,
                CASE
                    WHEN month >= this_month - interval '2 years' THEN month
                    WHEN coarse THEN '1970-01-01'
                    WHEN month >= '2010-01-01' THEN date_trunc('year', month)
                    WHEN month >= '2000-01-01' THEN '2000-01-01'
                    ELSE '1970-01-01'
                END AS stretch,
                row_number() OVER (ORDER BY month) AS number
            FROM generate_series('1970-01-01'::timestamptz, this_month + interval '13 months', '1 month') AS month
            WHERE NOT EXISTS (SELECT FROM existing WHERE month >= start AND month < finish)
        ),

        -- Consecutive missing months have the same distance from their number.
        runs AS (
            SELECT month, stretch, month - number * interval '1 month' AS distance FROM missing
        )

        SELECT min(month) AS start, max(month) + interval '1 month' AS finish
        FROM runs
        GROUP BY stretch, distance
        ORDER BY start
    LOOP
        partition := parent || to_char(piece.start, '"_"YYYY_MM');
        IF piece.finish > piece.start + interval '1 month' THEN
            partition := partition || to_char(piece.finish - interval '1 month', '"_to_"YYYY_MM');
        END IF;
        EXECUTE format(
            'CREATE TABLE %I PARTITION OF %I FOR VALUES FROM (%L) TO (%L)', partition, parent, piece.start, piece.finish
        );
    END LOOP;
END
$$;
