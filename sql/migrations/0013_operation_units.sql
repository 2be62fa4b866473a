-- A token for certain cooling units may change only the operations of its units, whoever else writes at the same
-- moment. The database decides that, where one transaction at a time changes a company's operations.

-- For a payment, the cooling units of the token that sent it, null for all. It pays its check-out only while that
-- belongs to one of them, so it does not pay for a check-out that later gets the same id at another unit.
ALTER TABLE operation ADD COLUMN sender_units integer [];
ALTER TABLE operation_key ADD COLUMN sender_units integer [];

-- The function now has a parameter.
DROP FUNCTION IF EXISTS write_operations();
