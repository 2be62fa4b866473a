"""SQL functions are as their files define them, whatever the history of the database, and replaced when they change."""

import shutil
from pathlib import Path
from typing import Any, TypeAlias

import asyncpg
import pytest
from tidemark.database import functions as functions_module
from tidemark.database.functions import functions
from tidemark.database.migration import migrate
from tidemark.database.statements import SQL
from tidemark.embedded.server import Server

from tests.conftest import new_database
from tests.database import released

# Excludes whatever belongs to an extension, such as TimescaleDB's catalog and chunks.
CATALOG = {
    "functions": """
        SELECT
            p.oid::regprocedure::text, pg_get_function_result(p.oid), pg_get_function_arguments(p.oid), prosrc, lanname,
            provolatile, proisstrict, prosecdef, proparallel, proconfig
        FROM pg_proc AS p INNER JOIN pg_language AS l ON l.oid = prolang
        WHERE pronamespace = 'public'::regnamespace AND NOT EXISTS (
            SELECT FROM pg_depend WHERE objid = p.oid AND deptype = 'e'
        )
    """,
    "triggers": """
        SELECT tgname, pg_get_triggerdef(t.oid), tgenabled
        FROM pg_trigger AS t INNER JOIN pg_class AS c ON c.oid = tgrelid
        WHERE relnamespace = 'public'::regnamespace AND NOT tgisinternal
    """,
    "views": """
        SELECT c.oid::regclass::text, relkind, pg_get_viewdef(c.oid), reloptions, relacl
        FROM pg_class AS c
        WHERE relnamespace IN ('public'::regnamespace, 'tidemark'::regnamespace) AND relkind = 'v' AND NOT EXISTS (
            SELECT FROM pg_depend WHERE objid = c.oid AND deptype = 'e'
        )
    """,
    "columns": """
        SELECT
            c.relname, c.relkind, c.relpersistence, c.reloptions, a.attnum, a.attname,
            format_type(atttypid, atttypmod), attnotnull, attidentity, pg_get_expr(adbin, adrelid), l.collname
        FROM pg_class AS c
        INNER JOIN pg_attribute AS a ON attrelid = c.oid
        LEFT JOIN pg_attrdef AS d ON adrelid = c.oid AND adnum = attnum
        LEFT JOIN pg_collation AS l ON l.oid = attcollation
        WHERE c.relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p', 'v', 'S') AND attnum > 0
    """,
    "partitions": """
        SELECT relname, pg_get_expr(relpartbound, oid) FROM pg_class
        WHERE relnamespace = 'public'::regnamespace AND relispartition
    """,
    "indexes": "SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = 'public'",
    "constraints": """
        SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid), convalidated
        FROM pg_constraint WHERE connamespace = 'public'::regnamespace
    """,
    "enums": "SELECT enumtypid::regtype::text, enumlabel, enumsortorder FROM pg_enum",
    "steps": "SELECT version, name, engine FROM schema_migration",
    "files": "SELECT name, fingerprint FROM schema_function",
    "files of views": "SELECT fingerprint FROM schema_view",
}
HYPERTABLES = """
    SELECT hypertable_name, column_name, time_interval FROM timescaledb_information.dimensions
    WHERE hypertable_schema = 'public'
"""

Connection: TypeAlias = "asyncpg.Connection[Any]"


async def catalog(connection: Connection, engine: str) -> dict[str, list[str]]:
    """Everything that makes up a schema, as text in a fixed order."""
    queries = CATALOG | ({"hypertables": HYPERTABLES} if engine == "timescale" else {})
    return {name: sorted(str(tuple(row)) for row in await connection.fetch(query)) for name, query in queries.items()}


_new_catalogs: dict[str, dict[str, list[str]]] = {}


async def catalog_of_a_new_database(server: Server, engine: str) -> dict[str, list[str]]:
    """The schema that `migrate` creates in an empty database."""
    if engine not in _new_catalogs:
        async with new_database(server) as url:
            connection = await asyncpg.connect(url)
            await migrate(connection)
            _new_catalogs[engine] = await catalog(connection, engine)
            await connection.close()
    return _new_catalogs[engine]


@pytest.mark.parametrize("version", [1, 5, 9, 12, released.VERSION])
async def test_a_database_of_any_release_becomes_the_same_as_a_new_one(
    server: Server, database_url: str, engine: str, version: int
) -> None:
    connection = await asyncpg.connect(database_url)
    await released.make_schema(connection, engine, version)
    await migrate(connection)
    upgraded, new = await catalog(connection, engine), await catalog_of_a_new_database(server, engine)
    for name, rows in new.items():
        assert upgraded[name] == rows, name
    await connection.close()


async def test_each_function_has_one_file_that_is_named_after_it(migrated_url: str, engine: str) -> None:
    connection = await asyncpg.connect(migrated_url)
    stored = await connection.fetch(
        "SELECT proname FROM pg_proc AS p WHERE pronamespace = 'public'::regnamespace "
        "AND NOT EXISTS (SELECT FROM pg_depend WHERE objid = p.oid AND deptype = 'e')"
    )
    await connection.close()
    assert sorted(row["proname"] for row in stored) == [function.name for function in functions(engine)]


async def test_every_body_is_valid_once_all_functions_exist(migrated_url: str, engine: str) -> None:
    connection = await asyncpg.connect(migrated_url)
    await connection.execute("SET check_function_bodies = on")
    for function in functions(engine):
        await connection.execute(function.text)
    await connection.close()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the functions' files, which `migrate` then uses."""
    copied = tmp_path / "functions"
    shutil.copytree(SQL / "functions", copied)
    monkeypatch.setattr(functions_module, "functions", lambda engine: functions(engine, copied))
    return copied


async def definitions(connection: Connection) -> dict[str, tuple[str, int]]:
    """The body of each function, and the transaction that defined it."""
    rows = await connection.fetch(
        "SELECT proname, prosrc, xmin::text::bigint AS transaction FROM pg_proc WHERE proname IN "
        "(SELECT name FROM schema_function)"
    )
    return {row["proname"]: (row["prosrc"], row["transaction"]) for row in rows}


async def test_a_function_is_replaced_when_its_file_has_changed_and_no_other_is(
    migrated_url: str, folder: Path
) -> None:
    connection = await asyncpg.connect(migrated_url)
    before = await definitions(connection)
    assert (await migrate(connection)).applied == 0
    assert await definitions(connection) == before

    file = folder / "coldchain" / "may_pay.sql"
    file.write_text(file.read_text().replace("IS NULL OR", "IS NOT DISTINCT FROM NULL OR"))
    assert (await migrate(connection)).applied == 0
    after = await definitions(connection)
    assert "IS NOT DISTINCT FROM NULL OR" in after.pop("may_pay")[0]
    assert after == {name: stored for name, stored in before.items() if name != "may_pay"}
    await connection.close()


async def test_a_deleted_file_is_forgotten_and_applied_again_when_it_is_back(migrated_url: str, folder: Path) -> None:
    connection = await asyncpg.connect(migrated_url)
    file = folder / "coldchain" / "may_pay.sql"
    text = file.read_text()
    file.unlink()
    await migrate(connection)
    await connection.execute("DROP FUNCTION may_pay (integer [], integer)")  # as a migration does
    file.write_text(text)
    await migrate(connection)
    assert await connection.fetchval("SELECT may_pay(NULL, 1)")
    await connection.close()


async def test_a_broken_function_leaves_the_old_ones(migrated_url: str, folder: Path) -> None:
    connection = await asyncpg.connect(migrated_url)
    before = await definitions(connection)
    (folder / "coldchain" / "buckets_of.sql").write_text("CREATE OR REPLACE FUNCTION buckets_of(day date) nonsense;")
    (folder / "coldchain" / "a_new_one.sql").write_text(
        "CREATE OR REPLACE FUNCTION a_new_one() RETURNS void LANGUAGE sql AS '';"
    )
    with pytest.raises(asyncpg.PostgresSyntaxError):
        await migrate(connection)
    assert await definitions(connection) == before
    await connection.close()


async def test_processes_that_serve_call_the_functions_of_the_version_that_started_last(
    migrated_url: str, folder: Path
) -> None:
    serving, starting = await asyncpg.connect(migrated_url), await asyncpg.connect(migrated_url)
    call = await serving.prepare("SELECT may_pay($1::integer [], $2)")
    file = folder / "coldchain" / "may_pay.sql"
    old = file.read_text()
    new = old.replace("unit = ANY", "unit <> ALL")
    for text, answer in ((old, False), (new, True), (old, False)):
        file.write_text(text)
        await migrate(starting)
        assert await call.fetchval([1], 2) is answer
    await serving.close()
    await starting.close()


def test_the_files_of_an_engine_that_does_not_exist_are_refused(tmp_path: Path) -> None:
    (tmp_path / "some.timscale.sql").write_text("")
    with pytest.raises(ValueError, match="for an unknown engine"):
        functions("timescale", tmp_path)
