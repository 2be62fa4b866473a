"""The schema: created once however many processes start, upgraded if older, refused if newer."""

import asyncio
import shutil
from pathlib import Path

import asyncpg
import pytest
from structlog.testing import capture_logs
from tidemark.catalog import organizations
from tidemark.cli.demo import ORGANIZATION, STORAGE_ORGANIZATION
from tidemark.database import migration
from tidemark.database.engine import EngineError
from tidemark.database.migration import SchemaTooNewError, migrate, migrations
from tidemark.database.statements import SQL
from tidemark.readings.optional_columns import OPTIONAL, NumberColumn

from tests.database import released

RELATIONS = """
    SELECT relname, array_agg(attname || ' ' || format_type(atttypid, atttypmod) ORDER BY attnum) AS columns
    FROM pg_class INNER JOIN pg_attribute ON attrelid = pg_class.oid
    WHERE relname = ANY ($1) AND relnamespace = 'public'::regnamespace AND attnum > 0
    GROUP BY relname
"""


async def test_processes_that_start_at_once_create_one_schema(database_url: str, engine: str) -> None:
    connections = [await asyncpg.connect(database_url) for _ in range(4)]
    schemas = await asyncio.gather(*(migrate(connection) for connection in connections))
    assert {schema.engine for schema in schemas} == {engine}
    assert sorted(schema.applied for schema in schemas) == [0, 0, 0, len(migrations(engine))]
    for connection in connections:
        await connection.close()


async def test_both_engines_have_the_same_relations(migrated_url: str, engine: str) -> None:
    connection = await asyncpg.connect(migrated_url)
    reading = "reading" if engine == "timescale" else "unpacked_reading"
    others = ["reading_hourly", "reading_daily", "reading_log", "newest_stored", "sensor"]
    rows = await connection.fetch(RELATIONS, [reading, *others])
    await connection.close()
    bucket = [
        "series_id integer",
        "bucket timestamp with time zone",
        "sample_count bigint",
        *(f"value_{name} double precision" for name in ("sum", "min", "max")),
    ]
    found = {row["relname"]: row["columns"] for row in rows}
    assert found["reading_hourly"] == found["reading_daily"] == bucket
    assert found[reading] == [
        "series_id integer",
        "ts timestamp with time zone",
        "value double precision",
        *(f"{one.name} {'double precision' if isinstance(one, NumberColumn) else 'text'}" for one in OPTIONAL),
    ]
    assert "reading_log" in found
    assert "newest_stored" in found
    assert "sensor" in found


async def test_timescale_has_a_hypertable_and_aggregates_upon_aggregates(migrated_url: str, engine: str) -> None:
    if engine != "timescale":
        pytest.skip("only TimescaleDB has hypertables")
    connection = await asyncpg.connect(migrated_url)
    hypertables = await connection.fetch("SELECT hypertable_name FROM timescaledb_information.hypertables")
    aggregates = await connection.fetch(
        "SELECT view_name, materialized_only, hypertable_name FROM timescaledb_information.continuous_aggregates"
    )
    await connection.close()
    assert "reading" in {row["hypertable_name"] for row in hypertables}
    assert {(row["view_name"], row["materialized_only"]) for row in aggregates} == {
        ("reading_hourly_aggregate", True),
        ("reading_daily_aggregate", True),
    }


async def test_an_older_database_is_upgraded_with_its_data(
    database_url: str, engine: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "migrations"
    shutil.copytree(SQL / "migrations", folder)
    real = migrations(engine)
    monkeypatch.setattr(migration, "migrations", lambda chosen: real)
    connection = await asyncpg.connect(database_url)
    assert (await migrate(connection)).version == len(real)
    await connection.execute(
        "INSERT INTO organization (organization_id, name, api_key_hash) VALUES ('o', 'kept', sha256('x'))"
    )
    newest = len(real) + 1
    (folder / f"{newest:04d}_next.sql").write_text("ALTER TABLE organization ADD COLUMN motto text DEFAULT 'new';")
    upgraded = migrations(engine, folder)
    monkeypatch.setattr(migration, "migrations", lambda chosen: upgraded)
    assert (await migrate(connection)).applied == 1
    kept = await connection.fetch("SELECT name, motto FROM organization")
    assert [tuple(row) for row in kept] == [("kept", "new")]

    monkeypatch.setattr(migration, "migrations", lambda chosen: real)
    with pytest.raises(
        SchemaTooNewError, match=f"schema version {newest}, but this Tidemark knows only versions up to"
    ):
        await migrate(connection)
    await connection.close()


async def test_existing_demonstrations_are_marked_as_such(database_url: str, engine: str) -> None:
    connection = await asyncpg.connect(database_url)
    await released.make_schema(connection, engine, 15)
    for name in (ORGANIZATION, "My organization", STORAGE_ORGANIZATION):
        await connection.execute(
            "INSERT INTO organization (organization_id, name, api_key_hash) VALUES ($1, $1, sha256('x'))", name
        )
    await migrate(connection)
    assert (await organizations.only_one(connection))["name"] == "My organization"
    await connection.close()


async def test_tokens_for_all_cooling_units_stay_so(database_url: str, engine: str) -> None:
    connection = await asyncpg.connect(database_url)
    await released.make_schema(connection, engine, 18)
    await connection.execute(
        "INSERT INTO organization (organization_id, name, api_key_hash) VALUES ('o', 'o', sha256('x'))"
    )
    for name, units in (("all", []), ("some", [7, 8])):
        await connection.execute(
            "INSERT INTO api_token (company_id, name, token_hash, scopes, cooling_unit_ids)"
            " VALUES (1, $1, sha256(convert_to($1, 'UTF8')), '{users}', $2)",
            name,
            units,
        )
    await migrate(connection)
    stored = await connection.fetch("SELECT cooling_unit_ids FROM api_token ORDER BY name")
    assert [row["cooling_unit_ids"] for row in stored] == [None, [7, 8]]
    await connection.close()


async def test_a_failing_step_leaves_nothing_half_done(
    database_url: str, engine: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "migrations"
    shutil.copytree(SQL / "migrations", folder)
    (folder / f"{len(migrations(engine)) + 1:04d}_broken.sql").write_text("CREATE TABLE half (); SELECT 1 / 0;")
    broken = migrations(engine, folder)
    monkeypatch.setattr(migration, "migrations", lambda chosen: broken)
    connection = await asyncpg.connect(database_url)
    with pytest.raises(asyncpg.DivisionByZeroError):
        await migrate(connection)
    assert await connection.fetchval("SELECT to_regclass('half') IS NULL AND to_regclass('sensor') IS NULL")
    await connection.close()


async def test_what_a_step_says_is_logged(database_url: str, engine: str) -> None:
    connection = await asyncpg.connect(database_url)
    await released.make_schema(connection, engine)
    if engine == "timescale":
        await connection.execute("INSERT INTO reading (series_id, ts, value) VALUES (1, now(), 1)")
    with capture_logs() as logs:
        await migrate(connection)
    said = [entry["event"] for entry in logs if "building an index" in entry["event"]]
    assert len(said) == (engine == "timescale")
    await connection.close()


async def test_a_database_keeps_its_engine(database_url: str, engine: str) -> None:
    connection = await asyncpg.connect(database_url)
    assert (await migrate(connection, "postgres")).engine == "postgres"
    assert (await migrate(connection, "auto")).engine == "postgres"
    with pytest.raises(EngineError, match="was set up with the postgres engine"):
        await migrate(connection, "timescale")
    await connection.close()


async def test_timescale_is_not_available_without_the_extension(database_url: str, engine: str) -> None:
    if engine == "timescale":
        pytest.skip("this server has the extension")
    connection = await asyncpg.connect(database_url)
    with pytest.raises(EngineError, match="no TimescaleDB extension"):
        await migrate(connection, "timescale")
    await connection.close()


async def test_a_role_that_only_owns_its_database_can_set_it_up(database_url: str, engine: str) -> None:
    admin = await asyncpg.connect(database_url)
    if engine == "timescale":
        await admin.execute("CREATE EXTENSION timescaledb")
    name = await admin.fetchval("SELECT current_database()")
    await admin.execute(f"CREATE ROLE owner_{name} LOGIN; ALTER DATABASE {name} OWNER TO owner_{name}")
    await admin.execute(f"ALTER SCHEMA public OWNER TO owner_{name}")
    owner = await asyncpg.connect(database_url, user=f"owner_{name}")
    assert (await migrate(owner)).engine == engine
    await owner.close()
    await admin.execute(f"REASSIGN OWNED BY owner_{name} TO tidemark")
    await admin.close()


EVERY_MONTH = """
    INSERT INTO segment (series_id, first_at, last_at, readings, step, value)
    SELECT 1, month, month, 1, 0, '{0}'
    FROM generate_series('1970-01-01 00:00+00'::timestamptz, now() + interval '1 year', '27 days') AS month
"""


async def test_there_is_a_partition_for_every_reading_there_can_be(database_url: str) -> None:
    connection = await asyncpg.connect(database_url)
    await released.make_schema(connection, "postgres", 5)
    # Partitions that version 0.1 created on demand stay readable.
    for at in ("1970-01-31 23:59:59.999999+00", "2012-05-17 12:00+00"):
        us = int(await connection.fetchval("SELECT extract(epoch FROM $1::text::timestamptz) * 1000000", at))
        await connection.execute("SELECT prepare_reading_storage($1)", [us])
        await connection.execute("INSERT INTO reading VALUES (7, $1::text::timestamptz, 1)", at)
    await migrate(connection, "postgres")
    await connection.execute(EVERY_MONTH)
    assert await connection.fetchval("SELECT count(*) FROM unpacked_reading") == 2
    partitions = "SELECT count(*) FROM pg_inherits WHERE inhparent = 'segment'::regclass"
    before = await connection.fetchval(partitions)
    await connection.execute("SELECT prepare_storage()")
    assert await connection.fetchval(partitions) == before < 80

    # The newest one is missing as soon as a month has passed; nobody waits for a table that is busy.
    newest = await connection.fetchval("SELECT 'segment_' || to_char(now() + interval '13 months', 'YYYY_MM')")
    await connection.execute(f"DROP TABLE {newest}")
    reader = await asyncpg.connect(database_url)
    async with reader.transaction():
        await reader.execute("SELECT FROM segment LIMIT 1")
        with pytest.raises(asyncpg.LockNotAvailableError):
            await connection.execute("SELECT prepare_storage()")
    await connection.execute("SELECT prepare_storage()")
    assert await connection.fetchval(partitions) == before
    await reader.close()
    await connection.close()
