-- part: sql_users
-- can_log_in is false for one whose role is not in this server, as after a restore.
SELECT
    u.role::text AS name, u.company_id, current_database()::text AS database, u.created_at,
    EXISTS (SELECT FROM pg_roles AS r WHERE r.rolname = u.role AND r.oid = u.role_id) AS can_log_in
FROM sql_user AS u

-- name: create_sql_user
SELECT create_sql_user(:role, :verifier, :company_id);

-- name: sql_user
{sql_users}
WHERE u.role = :role;

-- name: list_sql_users
{sql_users}
WHERE u.company_id = :company_id
ORDER BY u.role;

-- name: drop_sql_user
SELECT drop_sql_user(:role, :company_id);
