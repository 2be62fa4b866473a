-- For people who use SQL: each of their roles belongs to one organization, and the views that they see are in a schema of
-- their own.

-- A role is known by its name and by its number: one of the same name in the server that a backup is restored to, or one
-- made for another database of this server, is another role.
CREATE TABLE sql_user (
    role name PRIMARY KEY,
    role_id oid NOT NULL,
    company_id integer NOT NULL REFERENCES organization ON DELETE CASCADE,
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX sql_user_company ON sql_user (company_id, role);

-- The fingerprint of the files that last defined the views.
CREATE TABLE schema_view (
    single boolean PRIMARY KEY DEFAULT true CHECK (single),
    fingerprint text NOT NULL
);

CREATE SCHEMA tidemark;
GRANT USAGE ON SCHEMA tidemark TO public;
