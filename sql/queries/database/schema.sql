-- name: timescale_state
-- The server's version number, the version of TimescaleDB that is installed or available (null for none), whether it is
-- preloaded (by a setting of its loader, since not every role may read shared_preload_libraries), and its license (null
-- if not set).
SELECT
    current_setting('server_version_num')::integer AS server_version,
    (
        SELECT coalesce(installed_version, default_version) FROM pg_available_extensions WHERE name = 'timescaledb'
    ) AS available,
    current_setting('timescaledb.disable_load', true) IS NOT DISTINCT FROM 'off' AS preloaded,
    current_setting('timescaledb.license', true) AS license;

-- name: lock_migrations
SELECT pg_advisory_xact_lock(7463001);

-- name: create_migration_table
CREATE TABLE IF NOT EXISTS schema_migration (
    version integer PRIMARY KEY,
    name text NOT NULL,
    engine text NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now()
);

-- name: has_migrations
SELECT to_regclass('schema_migration') IS NOT NULL;

-- name: applied_migration
SELECT coalesce(max(version), 0) AS version, max(engine) AS engine FROM schema_migration;

-- name: record_migration
INSERT INTO schema_migration (version, name, engine) VALUES (:version, :name, :engine);

-- name: create_function_table
-- The fingerprint of the file that last defined each function.
CREATE TABLE IF NOT EXISTS schema_function (
    name text PRIMARY KEY,
    fingerprint text NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now()
);

-- name: applied_functions
SELECT name, fingerprint FROM schema_function;

-- name: check_no_function_bodies
-- Lets functions be defined in any order, even before those that they call.
SET LOCAL check_function_bodies = off;

-- name: record_function
INSERT INTO schema_function (name, fingerprint) VALUES (:name, :fingerprint)
ON CONFLICT (name) DO UPDATE SET fingerprint = excluded.fingerprint, applied_at = excluded.applied_at;

-- name: forget_functions
-- Those that no longer exist.
DELETE FROM schema_function WHERE name <> ALL (:current::text []);

-- name: views_fingerprint
SELECT fingerprint FROM schema_view;

-- name: record_views
INSERT INTO schema_view (fingerprint) VALUES (:fingerprint)
ON CONFLICT (single) DO UPDATE SET fingerprint = excluded.fingerprint;

-- name: prepare_storage
SELECT prepare_storage();

-- name: ping
SELECT 1;
