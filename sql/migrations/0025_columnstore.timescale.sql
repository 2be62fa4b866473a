-- Only plain PostgreSQL stores segments; this step is here so that versions have the same numbers on both engines.
SELECT;
