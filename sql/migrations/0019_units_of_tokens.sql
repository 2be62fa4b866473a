-- A token is for all cooling units (null), or for those in a list that is not empty. The empty list used to mean all of
-- them, so a list that became empty by mistake would have given access to everything.
ALTER TABLE api_token
ALTER COLUMN cooling_unit_ids DROP NOT NULL,
ALTER COLUMN cooling_unit_ids DROP DEFAULT;
UPDATE api_token SET cooling_unit_ids = NULL WHERE cooling_unit_ids = '{}';
ALTER TABLE api_token ADD CHECK (cardinality(cooling_unit_ids) > 0);
