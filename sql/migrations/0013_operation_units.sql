-- What a token for some cooling units may change: its units' operations, whoever writes at the same moment. It is decided
-- here, where a company's operations change one transaction after the other.

-- Of a payment: the cooling units of the token that sent it, null for all. It pays its check-out as long as that is of one
-- of them, so that no check-out that later comes to have this id at another unit is paid by it.
ALTER TABLE operation ADD COLUMN sender_units integer [];
ALTER TABLE operation_key ADD COLUMN sender_units integer [];

-- It has a parameter now.
DROP FUNCTION IF EXISTS write_operations();
