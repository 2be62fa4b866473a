"""Named statements: every call is of a statement that exists, with its parameters, and every statement is called."""

import ast
import re
from functools import cache
from pathlib import Path

import asyncpg
import pytest
from tidemark.catalog.resources import RESOURCES
from tidemark.database.functions import functions
from tidemark.database.statements import SQL, Sources, Statement, Statements, engine_statements, files, statements
from tidemark.database.views import views
from tidemark.readings.optional_columns import OPTIONAL

from bench import service as bench
from tests.conftest import ENGINES
from tests.database.calls import Found, Known, Resources, look, uncalled_functions, uncalled_statements
from tests.test_rooms import MAY_IMPORT, PACKAGE, ROOT, room_of

KNOWN: Known = {
    kind: {statement.name: frozenset(statement.parameters) for statement in held}
    for kind, held in (
        ("shared", statements()),
        ("engine", [*engine_statements("postgres"), *engine_statements("timescale")]),
        ("bench", bench.SQL),
    )
}
_STORES = ("segments.postgres.sql", "columnstore.timescale.sql")
OF_STORES = Sources.of(SQL / "queries" / "readings" / name for name in _STORES).statements.keys()
"""The statements of the modules that change the store of one engine."""
VERBS = ("insert", "read", "lock", "list", "count", "update", "delete")
OF_RESOURCES = Resources(
    [frozenset(resource.fields) for resource in RESOURCES],
    {verb: [resource.statement(verb).name for resource in RESOURCES] for verb in VERBS},
    frozenset(column.name for column in OPTIONAL),
)


_THEMSELVES = {"service/tidemark/database/statements.py", "tests/database/test_statements.py"}


@cache
def found() -> Found:
    """The calls by the service, its tests and its benchmarks."""
    paths = [path for folder in ("service", "tests", "bench") for path in sorted((ROOT / folder).rglob("*.py"))]
    sources = {str(path.relative_to(ROOT)): path.read_text(encoding="utf-8") for path in paths}
    return look({path: source for path, source in sources.items() if path not in _THEMSELVES}, KNOWN, OF_RESOURCES)


def test_every_call_names_a_statement_and_its_parameters() -> None:
    assert found().problems == []


def test_every_statement_is_called_by_the_program_that_it_belongs_to() -> None:
    owners = {"shared": "service/", "engine": "service/", "bench": "bench/"}
    assert uncalled_statements(KNOWN, found(), owners) == set()


def test_every_part_is_included() -> None:
    written = "".join(path.read_text(encoding="utf-8") for path in SQL.rglob("queries/**/*.sql"))
    parts = Sources.of(files(SQL / "queries", "", "timescale")).parts
    assert {name for name in parts if f"{{{name}}}" not in written and f"{{{name}(" not in written} == set()


@pytest.mark.parametrize("engine_name", ENGINES)
def test_every_function_is_called(engine_name: str) -> None:
    held = [statement.text for one in (statements(), engine_statements(engine_name)) for statement in one]
    held += [view.text for view in views(engine_name)]
    assert uncalled_functions(held, {one.name: one.text for one in functions(engine_name)}) == set()


def test_both_engines_have_the_same_statements_with_the_same_parameters() -> None:
    """Except those of the store, of which each engine has its own."""
    of_engine = [
        {one.name: set(one.parameters) for one in engine_statements(engine) if one.name not in OF_STORES}
        for engine in ENGINES
    ]
    assert of_engine[0] == of_engine[1]


def test_no_name_is_in_two_rooms() -> None:
    for engine in ENGINES:
        Sources.of(files(SQL / "queries", "", engine))  # raises ValueError, which names it
        names = [function.name for function in functions(engine)]
        assert len(set(names)) == len(names)


def test_statements_are_called_from_their_room_or_from_one_that_may_import_it() -> None:
    room_of_statement = {
        name: path.relative_to(SQL / "queries").parts[0]
        for path in files(SQL / "queries", "", *ENGINES)
        for name in re.findall(r"^-- name: (\w+)", path.read_text(encoding="utf-8"), re.MULTILINE)
    }
    astray = [
        f"{path} calls {name} of {room_of_statement[name]}"
        for (kind, name), paths in found().called.items()
        for path in paths
        if kind != "bench" and path.startswith("service/")
        for caller in (room_of(".".join((ROOT / path).relative_to(PACKAGE).with_suffix("").parts)),)
        if room_of_statement[name] not in {caller.removesuffix(".http"), *MAY_IMPORT[caller]}
    ]
    assert astray == []


async def test_the_database_understands_every_statement(migrated_url: str, engine: str) -> None:
    connection = await asyncpg.connect(migrated_url)
    await statements().prepare_operation_change.run(connection)
    for statement in (*statements(), *engine_statements(engine)):
        try:
            await connection.prepare(statement.text)
        except asyncpg.PostgresError as error:
            pytest.fail(f"{statement.name}: {error}")
    await connection.close()


_SQL = re.compile(
    r"\b(SELECT\s[\s\S]+\sFROM\s|INSERT\s+INTO\s|UPDATE\s+\w+\s+SET\s|DELETE\s+FROM\s|TRUNCATE\s|LISTEN\s|NOTIFY\s"
    r"|(CREATE|ALTER|DROP)\s+(TABLE|INDEX|FUNCTION|TRIGGER|VIEW|EXTENSION|TYPE)\b|^SELECT\s|^WITH\s+\w+\s+AS\b)"
)


def sql_texts(source: str) -> list[str]:
    """The string literals in a Python source that are SQL, not counting docstrings."""
    tree = ast.parse(source)
    spoken = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    return [
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in spoken
        if _SQL.search(node.value)
    ]


def test_python_contains_no_sql() -> None:
    held = sql_texts('''
"""Comments may SELECT words FROM anywhere."""
f"SELECT {columns} FROM reading"; run("""
    INSERT INTO reading VALUES (1)"""); say("Please SELECT one.", "WITH love")
''')
    assert {text.split()[0] for text in held} == {"SELECT", "INSERT"}
    paths = [path for folder in ("service", "bench") for path in (ROOT / folder).rglob("*.py")]
    assert {str(path): texts for path in paths if (texts := sql_texts(path.read_text(encoding="utf-8")))} == {}


READING = {"shared": {"mark": frozenset({"series_id", "hour"}), "ping": frozenset[str]()}, "engine": {}, "bench": {}}
TWO_KINDS = Resources(
    [frozenset({"id", "unit"}), frozenset({"id"})], {"insert": ["ping", "mark"]}, frozenset({"height"})
)


def problems(body: str, resources: Resources = TWO_KINDS) -> list[str]:
    """The problems found in a function with this body, without their locations."""
    source = "async def f(connection, hour):\n" + "".join(f"    {line}\n" for line in body.splitlines())
    return [one.partition(": ")[2] for one in look({"service/f.py": source}, READING, resources).problems]


UNDERSTOOD = (
    "await statements().mark.copy(connection, series_id=1, hour=hour)",
    "await statements().mark.run(connection, series_id=1, hour=hour)",
    "sql, other = statements(), 1\nawait sql.mark.run(connection, series_id=1, hour=hour)",
    "of = {'hour': hour}\nawait statements().mark.row(connection, **of, series_id=1)",
    "of = {**{'hour': hour}, 'series_id': 1}\nstatement = statements().mark\nstatement.pieces(connection, **of)",
    "def of():\n    return {'hour': hour} | {'series_id': 1}\nawait statements().mark.rows(connection, **of())",
    "class Of(TypedDict):\n    hour: int\n    series_id: int\nof: Of = g()\nstatements().mark.rows(connection, **of)",
    "def which():\n    return statements().mark\nawait which().rows(connection, hour=hour, series_id=1)",
    "explain(connection, statements().mark, hour=hour, series_id=1)",
    "FIELDS = {'hour': 1}\nrecord = checked(FIELDS, g())\nstatements().mark.row(connection, series_id=1, **record)",
)


@pytest.mark.parametrize("body", UNDERSTOOD)
def test_a_right_call_is_understood(body: str) -> None:
    assert problems(body) == []
    assert problems(body.replace("mark", "mork")) == ["there is no statement mork"]
    assert problems(body.replace("hour", "huor")) == ["mark takes hour, series_id, not huor, series_id"]


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        ("await statements().mark.run(connection, series_id=1)", "mark takes hour, series_id, not series_id"),
        ("await statements().ping.run(connection, hour=1)", "ping takes nothing, not hour"),
        ("await statements().mark.run(connection)", "mark takes hour, series_id, not nothing"),
        (
            "of = {'hour': 1} if hour else {}\nawait statements().mark.run(connection, series_id=1, **of)",
            "mark takes hour, series_id, not hour, series_id or series_id",
        ),
        (
            "sql = statements()\none = sql.mark if hour else sql.ping\nawait one.run(connection, hour=1, series_id=1)",
            "ping takes nothing, not hour, series_id",
        ),
        ("await statements().mark.run(connection, **hour)", "the keys of hour are not understood"),
        ("await connection.fetch(statements().mark.text, 1, 2)", "mark takes hour, series_id, not nothing"),
        ("await statements().mark.in_order({})", "the use of the statement mark is not understood"),
        ("getattr(statements(), hour)", "statements are used in a way that is not understood"),
        ("sql = statements()\ncall(sql)", "statements are used in a way that is not understood"),
        ("from tidemark.database.statements import statements as s\ns().mork.run()", "there is no statement mork"),
        ("from tidemark.database import statements", "statements() is to be imported, not its module"),
        (
            "await resource.statement('insert').row(connection, **resource.fields)",
            "mark takes hour, series_id, not id or id, unit",
        ),
        (
            "await statements().mark.run(connection, hour=1, **{one.name: 1 for one in OPTIONAL})",
            "mark takes hour, series_id, not height, hour",
        ),
    ],
)
def test_a_wrong_call_is_found(body: str, problem: str) -> None:
    assert problem in problems(body)


def test_a_statement_that_nothing_but_a_test_calls_is_found() -> None:
    ping, mark = (
        f"async def f(connection):\n    await statements().{call}"
        for call in ("ping.run(connection)", "mark.run(connection, series_id=1, hour=1)")
    )
    owners = {"shared": "service/"}
    called = look({"service/f.py": ping, "tests/test_f.py": mark}, READING, TWO_KINDS)
    assert called.problems == []
    assert uncalled_statements(READING, called, owners) == {"mark"}
    assert uncalled_statements(READING, look({"service/f.py": mark}, READING, TWO_KINDS), owners) == {"ping"}


def test_a_function_that_nothing_reaches_is_found() -> None:
    define = "CREATE OR REPLACE FUNCTION {}() RETURNS void LANGUAGE sql AS $$ SELECT {} $$;".format
    held = {
        "asked": define("asked", "helps()"),
        "helps": define("helps", "1 -- not alone()"),
        "fired": define("fired", "1") + "CREATE OR REPLACE TRIGGER t AFTER UPDATE ON x EXECUTE FUNCTION fired();",
        "alone": define("alone", "recursive()"),
        "recursive": define("recursive", "recursive()"),
    }
    assert uncalled_functions(["SELECT asked(1)"], held) == {"alone", "recursive"}


def test_a_part_replaces_its_name_where_it_is_included(tmp_path: Path) -> None:
    file = tmp_path / "some.sql"
    file.write_text(
        "-- part: window\nts >= :start\n\n-- part: first(one, order)\nSELECT {one} WHERE {window} ORDER BY {order}\n\n"
        "-- name: newest\n{first(ts; ts DESC, id)} LIMIT :max_rows;\n\n-- name: oldest\n{first(ts; ts)} -- '{}'\n;\n"
    )
    held = Statements(Sources.of([file]))
    assert held.newest == Statement(
        "newest", "SELECT ts WHERE ts >= $1 ORDER BY ts DESC, id LIMIT $2;", ("start", "max_rows")
    )
    assert held.oldest.text == "SELECT ts WHERE ts >= $1 ORDER BY ts -- '{}'\n;"
    with pytest.raises(TypeError, match="newest takes"):
        held.newest.in_order({"start": 1, "must": 2})
    with pytest.raises(AttributeError, match="no statement named first"):
        _ = held.first


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("-- name: a\n{gone};", KeyError),
        ("-- part: p\n1\n-- name: a\n{p(2)};", ValueError),
        ("-- part: p(x)\n{x}\n-- name: a\n{p};", ValueError),
        ("-- part: p(x, y)\n{x}{y}\n-- name: a\n{p(1)};", ValueError),
        ("-- name: a\n1;\n-- name: a\n2;", ValueError),
        ("-- part: a\n1\n-- name: a\n2;", ValueError),
    ],
)
def test_what_cannot_be_composed_is_refused(text: str, error: type[Exception], tmp_path: Path) -> None:
    file = tmp_path / "some.sql"
    file.write_text(text)
    with pytest.raises(error):
        Statements(Sources.of([file]))
