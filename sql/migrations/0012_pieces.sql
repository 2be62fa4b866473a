-- Nothing but functions, which stand in sql/functions/ as they are now.
SELECT;
