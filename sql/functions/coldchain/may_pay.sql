-- Whether a payment may pay a check-out of this cooling unit: `sender_units` are the units of the token that sent it,
-- null for all.
CREATE OR REPLACE FUNCTION may_pay(sender_units integer [], unit integer) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$
    SELECT sender_units IS NULL OR unit = ANY (sender_units)
$$;
