-- Business operations, and the tables that the analytics of cooling units read: see docs/decisions.md, "Roll-ups of
-- operations". Advisory lock 7463006 with a company id: changes of its operations.

-- The operations as they were sent. A check-out also has what follows from its payments: is_paid and paid_with.
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

-- An operation may be sent again with another time, so its id is unique here, not in a table partitioned by time. For a
-- payment, this table also says what it pays, since the check-out may be on another day.
CREATE TABLE operation_key (
    company_id integer NOT NULL,
    id text COLLATE "C" NOT NULL,
    occurred_at timestamptz NOT NULL,
    check_out_id text COLLATE "C",
    payment_method text,
    PRIMARY KEY (company_id, id)
);
CREATE INDEX operation_key_payment ON operation_key (company_id, check_out_id) WHERE check_out_id IS NOT NULL;

-- Users, each with a small number, and what their latest registration says about them.
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

-- Everything below is by days in the company's time zone. A bucket is a day, a week's Monday, or the first of a month.
-- crate_days is the sum of crates in minus crates out, each multiplied by its day (days since 1970). From it and the
-- plain sums, the sum of the stock at the end of each of many days follows without going through them.
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

-- The days of a year (bit 0: January 1) on which a user checked in or out at a unit.
CREATE TABLE activity (
    company_id integer NOT NULL,
    cooling_unit_id integer NOT NULL,
    year smallint NOT NULL,
    customer integer NOT NULL,
    days bit(368) NOT NULL,
    PRIMARY KEY (company_id, cooling_unit_id, year, customer)
) WITH (fillfactor = 70);

-- Baseline surveys in the company's currency. A share is truncated (not rounded) to 18 decimals.
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

-- A user's crop in a month that has market surveys; the baseline is null if there is none yet. A mean price is
-- truncated to 18 decimals.
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
