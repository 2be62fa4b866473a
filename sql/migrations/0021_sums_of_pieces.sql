-- The function now has another parameter.
DROP FUNCTION IF EXISTS sums_of_pieces(integer [], timestamptz [], timestamptz [], timestamptz []);
