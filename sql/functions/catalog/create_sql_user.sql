-- Makes a role that can log in and see the rows of one organization, through the views of the schema tidemark. The password
-- is given as its SCRAM verifier, so that no log has it. The caller must have the right to create roles.
--
-- Its statements are planned and run in one snapshot (repeatable read), each with a plan for its own bounds; see docs/sql.md.
CREATE OR REPLACE FUNCTION create_sql_user(new_role name, verifier text, company integer) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    setting text;
    locking regprocedure;
BEGIN
    -- Any role may take any advisory lock by default, also the one of whoever settles readings, for all organizations.
    -- Only a superuser can take that right away; docs/sql.md tells operators of other servers.
    IF (SELECT rolsuper FROM pg_roles WHERE rolname = current_user) THEN
        FOR locking IN
            SELECT p.oid FROM pg_proc AS p, aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) AS granted
            WHERE p.pronamespace = 'pg_catalog'::regnamespace AND p.proname ~ '^pg_(try_)?advisory_(xact_)?lock'
                AND granted.grantee = 0
        LOOP
            EXECUTE format('REVOKE EXECUTE ON FUNCTION %s FROM PUBLIC', locking);
        END LOOP;
    END IF;
    EXECUTE format(
        'CREATE ROLE %I LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION CONNECTION LIMIT 10 PASSWORD %L',
        new_role, verifier
    );
    FOREACH setting IN ARRAY ARRAY[
        'search_path = tidemark',
        'TimeZone = ''UTC''',
        'default_transaction_isolation = ''repeatable read''',
        'default_transaction_read_only = on',
        'plan_cache_mode = force_custom_plan',
        'jit = off',
        'max_parallel_workers_per_gather = 0',
        'statement_timeout = ''60s''',
        'idle_in_transaction_session_timeout = ''60s'''
    ] LOOP
        EXECUTE format('ALTER ROLE %I SET %s', new_role, setting);
    END LOOP;
    INSERT INTO sql_user (role, role_id, company_id)
    SELECT rolname, oid, company FROM pg_roles WHERE rolname = new_role
    ON CONFLICT (role) DO UPDATE
    SET role_id = excluded.role_id, company_id = excluded.company_id, created_at = excluded.created_at;
END
$$;
