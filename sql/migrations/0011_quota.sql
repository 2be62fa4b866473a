-- Only functions, whose current definitions are in sql/functions/.
SELECT;
