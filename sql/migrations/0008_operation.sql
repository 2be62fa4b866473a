-- Business operations and what the analytics of cooling units read: see docs/decisions.md, "Roll-ups of operations".
-- Advisory lock 7463006 with a company id: its operations change.

-- The operations as they were sent. A check-out also has what its payments make of it: is_paid and paid_with.
CREATE TABLE operation (
    company_id integer NOT NULL,
    id text COLLATE "C" NOT NULL,
    occurred_at timestamptz NOT NULL,
    type text NOT NULL,
    cooling_unit_id integer,
    user_id text COLLATE "C",
    gender text,
    user_type text,
    crop text COLLATE "C",
    crates integer,
    weight_kg numeric,
    amount numeric,
    currency text,
    payment_status text,
    payment_method text,
    check_out_id text COLLATE "C",
    quantity_kg numeric,
    quantity_below_market_price_kg numeric,
    price_per_kg numeric,
    loss_kg numeric,
    is_paid boolean,
    paid_with text,
    PRIMARY KEY (company_id, id, occurred_at)
);
DO $$
BEGIN
    IF (SELECT max(engine) FROM schema_migration) = 'timescale' THEN
        PERFORM create_hypertable(
            'operation', by_range('occurred_at', INTERVAL '91 days'), create_default_indexes => false
        );
    END IF;
END
$$;

-- An operation may be sent again with another time, so its id is unique here, not in a table partitioned by time. Of a
-- payment it is also kept what it pays, since the check-out may be another day's.
CREATE TABLE operation_key (
    company_id integer NOT NULL,
    id text COLLATE "C" NOT NULL,
    occurred_at timestamptz NOT NULL,
    check_out_id text COLLATE "C",
    payment_method text,
    PRIMARY KEY (company_id, id)
);
CREATE INDEX operation_key_payment ON operation_key (company_id, check_out_id) WHERE check_out_id IS NOT NULL;

-- Users by a small number, and what their latest registration says of them.
CREATE TABLE customer (
    company_id integer NOT NULL,
    user_id text COLLATE "C" NOT NULL,
    number integer GENERATED ALWAYS AS IDENTITY UNIQUE,
    gender text,
    user_type text,
    PRIMARY KEY (company_id, user_id)
);
CREATE TABLE registration (
    company_id integer NOT NULL,
    id text COLLATE "C" NOT NULL,
    cooling_unit_id integer NOT NULL,
    customer integer NOT NULL,
    day date NOT NULL,
    occurred_at timestamptz NOT NULL,
    gender text,
    user_type text,
    PRIMARY KEY (company_id, id)
);
CREATE INDEX registration_unit ON registration (company_id, cooling_unit_id);
CREATE INDEX registration_customer ON registration (customer);
CREATE TABLE deactivation (
    company_id integer NOT NULL,
    id text COLLATE "C" NOT NULL,
    customer integer NOT NULL,
    day date NOT NULL,
    PRIMARY KEY (company_id, id)
);

-- Everything below is by days of the company's time zone. A bucket is a day, a week's Monday, or the first of a month.
-- crate_days is the sum of crates in less crates out, each times its day (days since 1970): from it and the plain
-- sums, the sum of the stock at the end of each of many days follows without going through them.
CREATE TABLE storage_rollup (
    company_id integer NOT NULL,
    period text COLLATE "C" NOT NULL,
    cooling_unit_id integer NOT NULL,
    bucket date NOT NULL,
    check_ins bigint NOT NULL,
    check_outs bigint NOT NULL,
    crates_in bigint NOT NULL,
    crates_out bigint NOT NULL,
    kg_in numeric NOT NULL,
    kg_out numeric NOT NULL,
    crate_days numeric NOT NULL,
    PRIMARY KEY (company_id, period, cooling_unit_id, bucket)
);
CREATE TABLE revenue_rollup (
    company_id integer NOT NULL,
    period text COLLATE "C" NOT NULL,
    cooling_unit_id integer NOT NULL,
    bucket date NOT NULL,
    currency text COLLATE "C" NOT NULL,
    is_paid boolean NOT NULL,
    payment_method text COLLATE "C" NOT NULL,
    amount numeric NOT NULL,
    check_outs bigint NOT NULL,
    PRIMARY KEY (company_id, period, cooling_unit_id, bucket, currency, is_paid, payment_method)
);

-- What a user did at a unit on a day, by crop. Surveys are those in the company's currency.
CREATE TABLE user_day (
    company_id integer NOT NULL,
    cooling_unit_id integer NOT NULL,
    customer integer NOT NULL,
    day date NOT NULL,
    crop text COLLATE "C" NOT NULL,
    movements bigint NOT NULL,
    kg_out numeric NOT NULL,
    surveys bigint NOT NULL,
    price_sum numeric NOT NULL,
    loss_kg numeric NOT NULL,
    PRIMARY KEY (company_id, cooling_unit_id, customer, day, crop)
);

-- On which days of a year (bit 0: 1 January) a user checked in or out at a unit.
CREATE TABLE activity (
    company_id integer NOT NULL,
    cooling_unit_id integer NOT NULL,
    year smallint NOT NULL,
    customer integer NOT NULL,
    days bit(368) NOT NULL,
    PRIMARY KEY (company_id, cooling_unit_id, year, customer)
) WITH (fillfactor = 70);

-- Baseline surveys in the company's currency. A share is cut (not rounded) to 18 decimals.
CREATE TABLE baseline (
    company_id integer NOT NULL,
    id text COLLATE "C" NOT NULL,
    cooling_unit_id integer NOT NULL,
    customer integer NOT NULL,
    crop text COLLATE "C" NOT NULL,
    day date NOT NULL,
    occurred_at timestamptz NOT NULL,
    below_market_share numeric NOT NULL,
    price_per_kg numeric NOT NULL,
    PRIMARY KEY (company_id, id)
);
CREATE INDEX baseline_latest ON baseline (company_id, cooling_unit_id, customer, crop, occurred_at, id);

-- A user's crop in a month that has market surveys; the baseline is null where there is none yet. A mean price is cut
-- to 18 decimals.
CREATE TABLE surveyed_month (
    company_id integer NOT NULL,
    cooling_unit_id integer NOT NULL,
    month date NOT NULL,
    customer integer NOT NULL,
    crop text COLLATE "C" NOT NULL,
    kg_out numeric NOT NULL,
    loss_kg numeric NOT NULL,
    surveys bigint NOT NULL,
    mean_price numeric NOT NULL,
    below_market_share numeric,
    baseline_price numeric,
    PRIMARY KEY (company_id, cooling_unit_id, month, customer, crop)
);

CREATE FUNCTION buckets_of(day date) RETURNS TABLE (period text, bucket date) LANGUAGE sql IMMUTABLE AS $$
    VALUES
    ('day', day),
    ('week', date_trunc('week', day::timestamp)::date),
    ('month', date_trunc('month', day::timestamp)::date)
$$;

-- Room for what a transaction changes: operations that come in; operations that go (sign -1) or come (sign 1).
CREATE FUNCTION prepare_operation_change() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    CREATE TEMPORARY TABLE IF NOT EXISTS incoming_operation (LIKE operation) ON COMMIT DELETE ROWS;
    CREATE TEMPORARY TABLE IF NOT EXISTS operation_change (
        LIKE operation, sign integer NOT NULL, day date, customer integer
    ) ON COMMIT DELETE ROWS;
END
$$;

-- Stores incoming_operation, where each (company, id) stands once. A company is locked to the end of the transaction, so
-- its operations change one transaction after the other. Plans are made each time: the temporary tables hold one row now
-- and thousands then. Raises lock_not_available where the company is locked for long, as by a change of its time zone.
CREATE FUNCTION write_operations() RETURNS void LANGUAGE plpgsql
SET plan_cache_mode = force_custom_plan SET jit = off SET lock_timeout = '3s'
AS $$
DECLARE
    company integer;
    gone text [];
BEGIN
    FOR company IN SELECT DISTINCT i.company_id FROM incoming_operation AS i ORDER BY i.company_id LOOP
        PERFORM pg_advisory_xact_lock(7463006, company);

        -- A unit that was deleted at this very moment takes its operations along, after they replaced what was stored.
        gone := array(
            SELECT i.id FROM incoming_operation AS i
            WHERE i.company_id = company AND i.cooling_unit_id IS NOT NULL AND NOT EXISTS (
                SELECT FROM asset AS a WHERE a.company_id = company AND a.id = i.cooling_unit_id AND a.is_cooling_unit
            )
        );
        DELETE FROM incoming_operation AS i WHERE i.company_id = company AND i.id = ANY (gone);

        INSERT INTO operation_change
        SELECT o.*, -1
        FROM (
            SELECT i.id FROM incoming_operation AS i WHERE i.company_id = company
            UNION ALL
            SELECT unnest(gone)
        ) AS i
        INNER JOIN operation_key AS k ON k.company_id = company AND k.id = i.id
        INNER JOIN operation AS o ON o.company_id = company AND o.id = k.id AND o.occurred_at = k.occurred_at;

        -- What is stored already, just as it comes, changes nothing.
        IF FOUND THEN
            DELETE FROM incoming_operation AS i
            USING operation_change AS c
            WHERE i.company_id = company AND c.id = i.id
            AND (
                i.occurred_at, i.type, i.cooling_unit_id, i.user_id, i.gender, i.user_type, i.crop, i.crates,
                i.weight_kg, i.amount, i.currency, i.payment_status, i.payment_method, i.check_out_id, i.quantity_kg,
                i.quantity_below_market_price_kg, i.price_per_kg, i.loss_kg
            ) IS NOT DISTINCT FROM (
                c.occurred_at, c.type, c.cooling_unit_id, c.user_id, c.gender, c.user_type, c.crop, c.crates,
                c.weight_kg, c.amount, c.currency, c.payment_status, c.payment_method, c.check_out_id, c.quantity_kg,
                c.quantity_below_market_price_kg, c.price_per_kg, c.loss_kg
            );
            DELETE FROM operation_change AS c
            WHERE c.id <> ALL (gone) AND NOT EXISTS (
                SELECT FROM incoming_operation AS i WHERE i.company_id = company AND i.id = c.id
            );
        END IF;

        DELETE FROM operation_key AS k WHERE k.company_id = company AND k.id = ANY (gone);
        INSERT INTO operation_key AS k (company_id, id, occurred_at, check_out_id, payment_method)
        SELECT company, i.id, i.occurred_at, i.check_out_id, CASE WHEN i.type = 'payment' THEN i.payment_method END
        FROM incoming_operation AS i
        WHERE i.company_id = company
        ON CONFLICT (company_id, id) DO UPDATE SET
            occurred_at = excluded.occurred_at,
            check_out_id = excluded.check_out_id,
            payment_method = excluded.payment_method;

        -- Check-outs that payments come to or go from change too.
        INSERT INTO operation_change
        SELECT o.*, -1
        FROM (
            SELECT i.check_out_id AS id FROM incoming_operation AS i
            WHERE i.company_id = company AND i.check_out_id IS NOT NULL
            UNION
            SELECT c.check_out_id FROM operation_change AS c WHERE c.check_out_id IS NOT NULL
        ) AS paid
        INNER JOIN operation_key AS k ON k.company_id = company AND k.id = paid.id
        INNER JOIN operation AS o ON o.company_id = company AND o.id = k.id AND o.occurred_at = k.occurred_at
        WHERE o.type = 'check_out'
        AND NOT EXISTS (SELECT FROM incoming_operation AS i WHERE i.company_id = company AND i.id = paid.id);

        INSERT INTO operation_change
        SELECT i.*, 1 FROM incoming_operation AS i WHERE i.company_id = company
        UNION ALL
        SELECT
            c.company_id, c.id, c.occurred_at, c.type, c.cooling_unit_id, c.user_id, c.gender, c.user_type, c.crop,
            c.crates, c.weight_kg, c.amount, c.currency, c.payment_status, c.payment_method, c.check_out_id,
            c.quantity_kg, c.quantity_below_market_price_kg, c.price_per_kg, c.loss_kg, c.is_paid, c.paid_with, 1
        FROM operation_change AS c
        WHERE c.type = 'check_out'
        AND NOT EXISTS (SELECT FROM incoming_operation AS i WHERE i.company_id = company AND i.id = c.id);

        UPDATE operation_change AS c SET
            is_paid = c.payment_status = 'paid' OR EXISTS (
                SELECT FROM operation_key AS k WHERE k.company_id = company AND k.check_out_id = c.id
            ),
            paid_with = coalesce(
                (
                    SELECT k.payment_method FROM operation_key AS k
                    WHERE k.company_id = company AND k.check_out_id = c.id
                    ORDER BY k.occurred_at DESC, k.id DESC
                    LIMIT 1
                ),
                c.payment_method,
                'UNKNOWN'
            )
        WHERE c.type = 'check_out' AND c.sign = 1 AND c.company_id = company;

        DELETE FROM operation AS o
        USING operation_change AS c
        WHERE c.sign = -1 AND o.company_id = company AND o.id = c.id AND o.occurred_at = c.occurred_at;

        INSERT INTO operation
        SELECT
            c.company_id, c.id, c.occurred_at, c.type, c.cooling_unit_id, c.user_id, c.gender, c.user_type, c.crop,
            c.crates, c.weight_kg, c.amount, c.currency, c.payment_status, c.payment_method, c.check_out_id,
            c.quantity_kg, c.quantity_below_market_price_kg, c.price_per_kg, c.loss_kg, c.is_paid, c.paid_with
        FROM operation_change AS c
        WHERE c.sign = 1 AND c.company_id = company;

        PERFORM apply_operation_change(company);
    END LOOP;
END
$$;

-- Brings what is derived from a company's operations up to operation_change, and empties that. The company is locked.
CREATE FUNCTION apply_operation_change(company integer) RETURNS void LANGUAGE plpgsql
SET plan_cache_mode = force_custom_plan SET jit = off
AS $$
DECLARE
    zone text;
    own_currency text;
BEGIN
    SELECT timezone, currency INTO STRICT zone, own_currency FROM organization WHERE company_id = company;

    INSERT INTO customer (company_id, user_id)
    SELECT DISTINCT company, c.user_id
    FROM operation_change AS c
    WHERE c.user_id IS NOT NULL AND NOT EXISTS (
        SELECT FROM customer AS u WHERE u.company_id = company AND u.user_id = c.user_id
    );

    UPDATE operation_change AS c SET
        day = (c.occurred_at AT TIME ZONE zone)::date,
        customer = (SELECT u.number FROM customer AS u WHERE u.company_id = company AND u.user_id = c.user_id);

    INSERT INTO storage_rollup AS r
    SELECT
        company, b.period, c.cooling_unit_id, b.bucket,
        coalesce(sum(c.sign) FILTER (WHERE c.type = 'check_in'), 0),
        coalesce(sum(c.sign) FILTER (WHERE c.type = 'check_out'), 0),
        coalesce(sum(c.sign * c.crates::bigint) FILTER (WHERE c.type = 'check_in'), 0),
        coalesce(sum(c.sign * c.crates::bigint) FILTER (WHERE c.type = 'check_out'), 0),
        coalesce(sum(c.sign * c.weight_kg) FILTER (WHERE c.type = 'check_in'), 0),
        coalesce(sum(c.sign * c.weight_kg) FILTER (WHERE c.type = 'check_out'), 0),
        sum(
            c.sign * CASE c.type WHEN 'check_in' THEN 1 ELSE -1 END * c.crates::bigint * (c.day - date '1970-01-01')
        )
    FROM operation_change AS c
    CROSS JOIN LATERAL buckets_of(c.day) AS b
    WHERE c.type IN ('check_in', 'check_out')
    GROUP BY b.period, c.cooling_unit_id, b.bucket
    ON CONFLICT (company_id, period, cooling_unit_id, bucket) DO UPDATE SET
        check_ins = r.check_ins + excluded.check_ins,
        check_outs = r.check_outs + excluded.check_outs,
        crates_in = r.crates_in + excluded.crates_in,
        crates_out = r.crates_out + excluded.crates_out,
        kg_in = r.kg_in + excluded.kg_in,
        kg_out = r.kg_out + excluded.kg_out,
        crate_days = r.crate_days + excluded.crate_days;

    INSERT INTO revenue_rollup AS r
    SELECT
        company, b.period, c.cooling_unit_id, b.bucket, c.currency, c.is_paid, c.paid_with,
        sum(c.sign * c.amount), sum(c.sign)
    FROM operation_change AS c
    CROSS JOIN LATERAL buckets_of(c.day) AS b
    WHERE c.type = 'check_out'
    GROUP BY b.period, c.cooling_unit_id, b.bucket, c.currency, c.is_paid, c.paid_with
    ON CONFLICT (company_id, period, cooling_unit_id, bucket, currency, is_paid, payment_method) DO UPDATE SET
        amount = r.amount + excluded.amount,
        check_outs = r.check_outs + excluded.check_outs;

    INSERT INTO user_day AS d
    SELECT
        company, c.cooling_unit_id, c.customer, c.day, c.crop,
        coalesce(sum(c.sign) FILTER (WHERE c.type IN ('check_in', 'check_out')), 0),
        coalesce(sum(c.sign * c.weight_kg) FILTER (WHERE c.type = 'check_out'), 0),
        coalesce(sum(c.sign) FILTER (WHERE c.type = 'market_survey'), 0),
        coalesce(sum(c.sign * c.price_per_kg) FILTER (WHERE c.type = 'market_survey'), 0),
        coalesce(sum(c.sign * c.loss_kg) FILTER (WHERE c.type = 'market_survey'), 0)
    FROM operation_change AS c
    WHERE c.type IN ('check_in', 'check_out') OR (c.type = 'market_survey' AND c.currency = own_currency)
    GROUP BY c.cooling_unit_id, c.customer, c.day, c.crop
    ON CONFLICT (company_id, cooling_unit_id, customer, day, crop) DO UPDATE SET
        movements = d.movements + excluded.movements,
        kg_out = d.kg_out + excluded.kg_out,
        surveys = d.surveys + excluded.surveys,
        price_sum = d.price_sum + excluded.price_sum,
        loss_kg = d.loss_kg + excluded.loss_kg;

    WITH touched AS (
        SELECT
            c.cooling_unit_id, c.customer, extract(year FROM c.day)::smallint AS year,
            set_bit(repeat('0', 368)::bit(368), extract(doy FROM c.day)::integer - 1, 1) AS bit,
            EXISTS (
                SELECT FROM user_day AS d
                WHERE
                    d.company_id = company AND d.cooling_unit_id = c.cooling_unit_id AND d.customer = c.customer
                    AND d.day = c.day AND d.movements > 0
            ) AS active
        FROM operation_change AS c
        WHERE c.type IN ('check_in', 'check_out')
        GROUP BY c.cooling_unit_id, c.customer, c.day
    ),

    masks AS (
        SELECT
            t.cooling_unit_id, t.year, t.customer,
            coalesce(bit_or(t.bit) FILTER (WHERE t.active), repeat('0', 368)::bit(368)) AS active,
            coalesce(bit_or(t.bit) FILTER (WHERE NOT t.active), repeat('0', 368)::bit(368)) AS idle
        FROM touched AS t
        GROUP BY t.cooling_unit_id, t.year, t.customer
    )

    INSERT INTO activity AS a
    SELECT company, m.cooling_unit_id, m.year, m.customer, (coalesce(s.days, m.active) | m.active) & ~m.idle
    FROM masks AS m
    LEFT JOIN activity AS s
        ON
            s.company_id = company AND s.cooling_unit_id = m.cooling_unit_id AND s.year = m.year
            AND s.customer = m.customer
    WHERE s.days IS NULL OR s.days <> ((s.days | m.active) & ~m.idle)
    ON CONFLICT (company_id, cooling_unit_id, year, customer) DO UPDATE SET days = excluded.days;

    DELETE FROM registration AS r
    USING operation_change AS c
    WHERE c.type = 'user_registered' AND c.sign = -1 AND r.company_id = company AND r.id = c.id;
    INSERT INTO registration
    SELECT company, c.id, c.cooling_unit_id, c.customer, c.day, c.occurred_at, c.gender, c.user_type
    FROM operation_change AS c
    WHERE c.type = 'user_registered' AND c.sign = 1 AND c.company_id = company;

    DELETE FROM deactivation AS d
    USING operation_change AS c
    WHERE c.type = 'user_deactivated' AND c.sign = -1 AND d.company_id = company AND d.id = c.id;
    INSERT INTO deactivation
    SELECT company, c.id, c.customer, c.day
    FROM operation_change AS c
    WHERE c.type = 'user_deactivated' AND c.sign = 1 AND c.company_id = company;

    UPDATE customer AS u SET
        (gender, user_type) = (
            SELECT r.gender, r.user_type FROM registration AS r
            WHERE r.customer = u.number
            ORDER BY r.occurred_at DESC, r.id DESC
            LIMIT 1
        )
    WHERE u.company_id = company AND u.number IN (
        SELECT c.customer FROM operation_change AS c WHERE c.type = 'user_registered'
    );

    DELETE FROM baseline AS b
    USING operation_change AS c
    WHERE c.type = 'baseline_survey' AND c.sign = -1 AND b.company_id = company AND b.id = c.id;
    INSERT INTO baseline
    SELECT
        company, c.id, c.cooling_unit_id, c.customer, c.crop, c.day, c.occurred_at,
        div(c.quantity_below_market_price_kg * 1e18, c.quantity_kg) * 1e-18, c.price_per_kg
    FROM operation_change AS c
    WHERE c.type = 'baseline_survey' AND c.sign = 1 AND c.currency = own_currency;

    WITH touched AS (
        SELECT c.cooling_unit_id, date_trunc('month', c.day::timestamp)::date AS month, c.customer, c.crop
        FROM operation_change AS c
        WHERE c.type IN ('check_out', 'market_survey')
        UNION
        SELECT s.cooling_unit_id, s.month, s.customer, s.crop
        FROM operation_change AS c
        INNER JOIN surveyed_month AS s
            ON
                s.company_id = company AND s.cooling_unit_id = c.cooling_unit_id AND s.customer = c.customer
                AND s.crop = c.crop
        WHERE c.type = 'baseline_survey'
    ),

    counted AS (
        SELECT
            t.cooling_unit_id, t.month, t.customer, t.crop,
            coalesce(sum(d.kg_out), 0) AS kg_out, coalesce(sum(d.loss_kg), 0) AS loss_kg,
            coalesce(sum(d.surveys), 0)::bigint AS surveys, sum(d.price_sum) AS price_sum
        FROM touched AS t
        LEFT JOIN user_day AS d
            ON
                d.company_id = company AND d.cooling_unit_id = t.cooling_unit_id AND d.customer = t.customer
                AND d.crop = t.crop AND d.day >= t.month AND d.day < (t.month + interval '1 month')::date
        GROUP BY t.cooling_unit_id, t.month, t.customer, t.crop
    ),

    unsurveyed AS (
        DELETE FROM surveyed_month AS s
        USING counted AS t
        WHERE
            t.surveys = 0 AND s.company_id = company AND s.cooling_unit_id = t.cooling_unit_id AND s.month = t.month
            AND s.customer = t.customer AND s.crop = t.crop
    )

    INSERT INTO surveyed_month
    SELECT
        company, t.cooling_unit_id, t.month, t.customer, t.crop, t.kg_out, t.loss_kg, t.surveys,
        div(t.price_sum * 1e18, t.surveys) * 1e-18, latest.below_market_share, latest.price_per_kg
    FROM counted AS t
    LEFT JOIN LATERAL (
        SELECT b.below_market_share, b.price_per_kg
        FROM baseline AS b
        WHERE
            b.company_id = company AND b.cooling_unit_id = t.cooling_unit_id AND b.customer = t.customer
            AND b.crop = t.crop AND b.day < (t.month + interval '1 month')::date
        ORDER BY b.occurred_at DESC, b.id DESC
        LIMIT 1
    ) AS latest ON true
    WHERE t.surveys > 0
    ON CONFLICT (company_id, cooling_unit_id, month, customer, crop) DO UPDATE SET
        kg_out = excluded.kg_out,
        loss_kg = excluded.loss_kg,
        surveys = excluded.surveys,
        mean_price = excluded.mean_price,
        below_market_share = excluded.below_market_share,
        baseline_price = excluded.baseline_price;

    DELETE FROM operation_change;
END
$$;

-- Days are of the company's time zone, and impact is in its currency: when either changes, all is derived anew.
CREATE FUNCTION derive_operations_anew() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(7463006, NEW.company_id);
    PERFORM prepare_operation_change();
    DELETE FROM storage_rollup WHERE company_id = NEW.company_id;
    DELETE FROM revenue_rollup WHERE company_id = NEW.company_id;
    DELETE FROM user_day WHERE company_id = NEW.company_id;
    DELETE FROM activity WHERE company_id = NEW.company_id;
    DELETE FROM registration WHERE company_id = NEW.company_id;
    DELETE FROM deactivation WHERE company_id = NEW.company_id;
    DELETE FROM baseline WHERE company_id = NEW.company_id;
    DELETE FROM surveyed_month WHERE company_id = NEW.company_id;
    INSERT INTO operation_change SELECT o.*, 1 FROM operation AS o WHERE o.company_id = NEW.company_id;
    PERFORM apply_operation_change(NEW.company_id);
    RETURN NULL;
END
$$;
CREATE TRIGGER organization_days_changed AFTER UPDATE OF timezone, currency ON organization
FOR EACH ROW WHEN ((old.timezone, old.currency) IS DISTINCT FROM (new.timezone, new.currency))
EXECUTE FUNCTION derive_operations_anew();

-- A cooling unit takes its operations along.
CREATE FUNCTION forget_operations_of_unit() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(7463006, OLD.company_id);
    PERFORM prepare_operation_change();
    INSERT INTO operation_change
    SELECT o.*, -1 FROM operation AS o WHERE o.company_id = OLD.company_id AND o.cooling_unit_id = OLD.id;
    IF FOUND THEN
        DELETE FROM operation_key AS k USING operation_change AS c WHERE k.company_id = OLD.company_id AND k.id = c.id;
        DELETE FROM operation WHERE company_id = OLD.company_id AND cooling_unit_id = OLD.id;
        PERFORM apply_operation_change(OLD.company_id);
        DELETE FROM storage_rollup WHERE company_id = OLD.company_id AND cooling_unit_id = OLD.id;
        DELETE FROM revenue_rollup WHERE company_id = OLD.company_id AND cooling_unit_id = OLD.id;
        DELETE FROM user_day WHERE company_id = OLD.company_id AND cooling_unit_id = OLD.id;
        DELETE FROM activity WHERE company_id = OLD.company_id AND cooling_unit_id = OLD.id;
    END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER cooling_unit_gone AFTER DELETE ON asset
FOR EACH ROW WHEN (old.is_cooling_unit) EXECUTE FUNCTION forget_operations_of_unit();
