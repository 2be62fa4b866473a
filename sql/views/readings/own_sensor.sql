-- The sensors of the organization that the session's role belongs to, none if it is not an SQL user's. It is the session's
-- and not the current role, because functions that run with the rights of their owner ask too.
CREATE OR REPLACE VIEW own_sensor AS
SELECT series_id, company_id, id
FROM sensor
WHERE
    company_id = (
        SELECT u.company_id
        FROM sql_user AS u
        INNER JOIN pg_roles AS r ON r.rolname = u.role AND r.oid = u.role_id
        WHERE u.role = session_user
    );
