-- Removes the role of an SQL user, and ends its sessions where the caller may. Returns false if the organization has no such
-- user. Sessions that go on see nothing any more.
CREATE OR REPLACE FUNCTION drop_sql_user(old_role name, company integer) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    old_role_id oid;
BEGIN
    DELETE FROM sql_user WHERE role = old_role AND company_id = company RETURNING role_id INTO old_role_id;
    IF NOT found THEN
        RETURN false;
    END IF;
    -- After a restore, a role of this name may be missing, or be somebody else's.
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = old_role AND oid = old_role_id) THEN
        BEGIN
            -- Waits for them, because temporary tables of theirs would keep the role.
            PERFORM pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE usesysid = old_role_id;
        EXCEPTION WHEN insufficient_privilege THEN
            NULL;
        END;
        EXECUTE format('DROP ROLE %I', old_role);
    END IF;
    RETURN true;
END
$$;
