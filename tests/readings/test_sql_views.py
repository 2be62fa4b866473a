"""What SQL users see: exactly the readings of their organization at that moment, and nothing else."""

import asyncio
import random
import re
from collections.abc import AsyncIterator, Mapping
from datetime import timedelta
from functools import partial
from urllib.parse import urlsplit

import asyncpg
import pytest
from tidemark.base.time import DAY, HOUR, Window, instant, microseconds
from tidemark.catalog import organizations, sql_users
from tidemark.readings.settling.deletion import delete_settled

from tests.readings.log_by_hand import Key, Stored, append, everything
from tests.readings.store_and_log import (
    BEGIN,
    DAYS,
    SERIES,
    Connection,
    Connections,
    beside_the_settler,
    connections_to,
    random_window,
    roll_up,
    store,
    tidy,
)
from tests.readings.test_store_and_log import random_readings

CHECKS = 16
VIEWS = ("latest_reading", "reading", "reading_daily", "reading_hourly")
COLUMNS = {
    "reading": ["company_id", "sensor", "ts", "value", "latitude", "longitude", "x_axis_value", "metadata"],
    "reading_hourly": ["company_id", "sensor", "bucket", "sample_count", "min", "max", "avg"],
    "reading_daily": ["company_id", "sensor", "bucket", "sample_count", "min", "max", "avg"],
    "latest_reading": ["company_id", "sensor", "ts", "value"],
}

SENSOR = "INSERT INTO sensor (series_id, company_id, id, name) OVERRIDING SYSTEM VALUE VALUES (21, $1, $2, $2)"


@pytest.fixture
async def connections(migrated_url: str) -> AsyncIterator[Connections]:
    async with connections_to(migrated_url) as found:
        yield found


@pytest.fixture
async def owner(connections: Connections) -> Connection:
    """A connection of the service's role."""
    return await connections.one()


@pytest.fixture
async def user(migrated_url: str, owner: Connection) -> AsyncIterator[Connection]:
    """A connection of an SQL user of the organization that has the sensors."""
    async with connected_user(migrated_url, owner, await company_of(owner)) as connection:
        yield connection


class connected_user:  # noqa: N801 - used like a function
    """A connection of a new SQL user, who is gone at the end."""

    def __init__(self, url: str, owner: Connection, company_id: int) -> None:
        self._url, self._owner, self._company_id = url, owner, company_id
        self._name = f"{urlsplit(url).path[1:]}_{company_id}"

    async def __aenter__(self) -> Connection:
        made = await sql_users.create(self._owner, self._company_id, self._name)
        self.connection: Connection = await asyncpg.connect(self._url, user=made["name"], password=made["password"])
        return self.connection

    async def __aexit__(self, *_: object) -> None:
        await self.connection.close()
        await sql_users.drop(self._owner, self._company_id, self._name)


async def company_of(owner: Connection) -> int:
    """The company that the sensors belong to."""
    company_id: int = await owner.fetchval("SELECT min(company_id) FROM sensor")
    return company_id


def buckets(known: Mapping[Key, Stored], length: int) -> dict[Key, list[float]]:
    """The values of each series and bucket."""
    found: dict[Key, list[float]] = {}
    for (series, at), stored in known.items():
        found.setdefault((series, at - at % length), []).append(stored.value)
    return found


async def check(owner: Connection, user: Connection, rng: random.Random) -> None:
    """Compare the four views with what there is, in the same snapshot."""
    async with owner.transaction(isolation="repeatable_read"), user.transaction(isolation="repeatable_read"):
        snapshot = await owner.fetchval("SELECT pg_export_snapshot()")
        await user.execute(f"SET TRANSACTION SNAPSHOT '{snapshot}'")
        known = await everything(owner)
        window = random_window(rng)
        sensors = rng.choice((["s11"], ["s12", "s13"], ["s11", "s12", "s13", "s99"]))
        await check_readings(user, known, sensors, window)
        await check_buckets(user, "reading_hourly", HOUR, known, sensors, window)
        await check_buckets(user, "reading_daily", DAY, known, sensors, window)
        await check_latest(user, known)


async def check_readings(user: Connection, known: Mapping[Key, Stored], sensors: list[str], window: Window) -> None:
    rows = await user.fetch(
        "SELECT sensor, ts, value, latitude, longitude, x_axis_value, metadata FROM reading "
        "WHERE sensor = ANY ($1) AND ts >= $2 AND ts < $3 ORDER BY sensor, ts",
        *(sensors, instant(window.start), instant(window.finish)),
    )
    found = [((int(row["sensor"][1:]), microseconds(row["ts"])), Stored(*list(row)[2:])) for row in rows]
    assert found == sorted(
        ((key, stored) for key, stored in known.items() if is_asked(key, sensors, window)), key=lambda one: one[0]
    )


async def check_buckets(
    user: Connection, view: str, length: int, known: Mapping[Key, Stored], sensors: list[str], window: Window
) -> None:
    rows = await user.fetch(
        f"SELECT * FROM {view} WHERE sensor = ANY ($1) AND bucket >= $2 AND bucket < $3",
        *(sensors, instant(window.start), instant(window.finish)),
    )
    found = {(int(row["sensor"][1:]), microseconds(row["bucket"])): row for row in rows}
    expected = {key: values for key, values in buckets(known, length).items() if is_asked(key, sensors, window)}
    assert len(found) == len(rows)
    assert found.keys() == expected.keys()
    for key, values in expected.items():
        row = found[key]
        assert (row["sample_count"], row["min"], row["max"]) == (len(values), min(values), max(values)), (view, key)
        size = sum(map(abs, values)) / len(values)
        assert row["avg"] == pytest.approx(sum(values) / len(values), rel=0, abs=1e-9 * size)
        assert row["min"] <= row["avg"] <= row["max"]


def is_asked(key: Key, sensors: list[str], window: Window) -> bool:
    """Whether a sensor and a window select this series at this instant."""
    return f"s{key[0]}" in sensors and window.start <= key[1] < window.finish


async def check_latest(user: Connection, known: Mapping[Key, Stored]) -> None:
    rows = await user.fetch("SELECT sensor, ts, value FROM latest_reading")
    newest = {series: max(at for one, at in known if one == series) for series, _ in known}
    assert sorted(tuple(row) for row in rows) == sorted(
        (f"s{series}", instant(at), known[series, at].value) for series, at in newest.items()
    )


async def test_the_views_are_exact_whatever_is_written_settled_rolled_up_and_deleted(
    engine: str, owner: Connection, user: Connection
) -> None:
    seed = random.randrange(2**32)
    print("seed", seed)
    rng = random.Random(seed)
    ids = list(range(100, 100 + 2 * CHECKS))
    rng.shuffle(ids)
    written: dict[Key, Stored] = {}
    for number in range(CHECKS):
        batch = random_readings(rng, written)
        written |= batch
        if number < CHECKS // 3:
            await store(owner, engine, batch)
        else:
            await append(owner, batch, xid=ids.pop(), size=rng.choice((1, 3, 10, 1000)))
        if number % 8 == 5:
            await roll_up(owner, engine, BEGIN + timedelta(hours=number * DAYS * 24 // CHECKS))
        if number % 8 == 7:
            await tidy(owner, engine)
        await check(owner, user, rng)


async def test_the_views_are_exact_under_writers_deletions_and_settles(
    engine: str, connections: Connections, owner: Connection, user: Connection
) -> None:
    seed = random.randrange(2**32)
    print("seed", seed)
    chance = random.Random(seed - 1)
    written: dict[Key, Stored] = {}

    async def change(connection: Connection, rng: random.Random) -> None:
        batch = random_readings(rng, written)
        written.update(batch)
        await append(connection, batch, size=rng.choice((1, 7, 1000)))
        if rng.random() < 0.1:
            await delete_settled(connection, engine, rng.choice(SERIES), random_window(rng))

    await beside_the_settler(
        connections,
        engine,
        seed,
        writer=change,
        writers=1,
        batches=6,
        check=partial(check, owner, user, chance),
        checks=CHECKS,
    )


async def test_columns_are_as_documented(user: Connection) -> None:
    for view, columns in COLUMNS.items():
        statement = await user.prepare(f"SELECT * FROM tidemark.{view}")
        assert [attribute.name for attribute in statement.get_attributes()] == columns


async def test_a_user_sees_the_rows_of_one_organization(
    engine: str, migrated_url: str, owner: Connection, user: Connection
) -> None:
    other = (await organizations.create(owner, {"name": "Other"})).organization["company_id"]
    await owner.execute(SENSOR, other, "s11")
    at = microseconds(BEGIN)
    await store(owner, engine, {(11, at): Stored(1.0), (21, at): Stored(2.0)})
    await append(owner, {(11, at + 1): Stored(3.0), (21, at + 1): Stored(4.0)})
    async with connected_user(migrated_url, owner, other) as stranger:
        for view in VIEWS:
            own, others = await user.fetch(f"SELECT * FROM {view}"), await stranger.fetch(f"SELECT * FROM {view}")
            assert {row["company_id"] for row in own} == {await company_of(owner)}
            assert {row["company_id"] for row in others} == {other}
        # What the views call may be called directly.
        assert await stranger.fetch("SELECT * FROM public.own_unsettled(11, true)") == []
        assert await user.fetch("SELECT * FROM public.own_unsettled(21, true)") == []
        newest = await user.fetch("SELECT series_id FROM public.own_newest_unsettled()")
        assert [row["series_id"] for row in newest] == [11]
    assert await owner.fetch("SELECT * FROM tidemark.reading") == [], "only SQL users have an organization"


async def test_a_role_of_the_same_name_in_another_server_sees_nothing(owner: Connection, user: Connection) -> None:
    await append(owner, {(11, microseconds(BEGIN)): Stored(1.0)})
    assert await user.fetchval("SELECT count(*) FROM reading") == 1
    await owner.execute("UPDATE sql_user SET role_id = (role_id::bigint + 1)::oid")
    assert await user.fetchval("SELECT count(*) FROM reading") == 0
    await owner.execute("UPDATE sql_user SET role_id = (role_id::bigint - 1)::oid")


async def test_no_condition_sees_rows_of_others(engine: str, owner: Connection, user: Connection) -> None:
    """A function of the user's own that is cheap and tells what it sees is not run before the view's own filter."""
    other = (await organizations.create(owner, {"name": "Other"})).organization["company_id"]
    await owner.execute(SENSOR, other, "secret")
    await store(owner, engine, {(series, microseconds(BEGIN)): Stored(1.0) for series in (11, 21)})
    seen: list[str] = []
    user.add_log_listener(lambda _connection, message: seen.append(str(message)))
    await user.execute("SET default_transaction_read_only = off")
    await user.execute(
        "CREATE FUNCTION pg_temp.tell(text) RETURNS boolean COST 0.0001 LANGUAGE plpgsql AS "
        "$$ BEGIN RAISE NOTICE '%', $1; RETURN true; END $$"
    )
    for view in VIEWS:
        await user.fetch(f"SELECT * FROM {view} WHERE pg_temp.tell(sensor)")
    assert len(seen) == len(VIEWS)
    assert not any("secret" in message for message in seen)


async def test_nothing_but_the_views_is_granted(owner: Connection, user: Connection) -> None:
    readable = await user.fetch(
        "SELECT n.nspname, c.relname FROM pg_class AS c INNER JOIN pg_namespace AS n ON n.oid = relnamespace "
        "WHERE relkind IN ('r', 'p', 'v', 'm', 'f', 'S') AND nspname !~ '^(pg_|information_schema|.?timescaledb_)' "
        "AND (has_table_privilege(c.oid, 'SELECT') OR has_any_column_privilege(c.oid, 'SELECT'))"
    )
    assert sorted(tuple(row) for row in readable) == [("tidemark", view) for view in VIEWS]
    chunks = await user.fetch(
        "SELECT c.oid::regclass::text FROM pg_class AS c WHERE relnamespace = ANY (SELECT oid FROM pg_namespace "
        "WHERE nspname = '_timescaledb_internal') AND has_table_privilege(c.oid, 'SELECT') AND relname ~ '^_hyper'"
    )
    assert chunks == []
    await user.execute("SET default_transaction_read_only = off; SET search_path = public")
    for statement in (
        "SELECT * FROM public.reading_log",
        "SELECT * FROM public.reading_hourly",
        "SELECT * FROM public.sensor",
        "SELECT * FROM public.stored_reading",
        "SELECT * FROM public.own_sensor",
        "SELECT * FROM public.sql_user",
        "SELECT * FROM public.series_with_unsettled('{11}', 'epoch', 'infinity', true)",
        "CREATE TABLE tidemark.mine (a integer)",
        "CREATE TABLE public.mine (a integer)",
        "CREATE SCHEMA mine",
        "SELECT public.forget_series('{11}')",
        "SELECT pg_advisory_lock(7463003)",
        "SELECT pg_try_advisory_xact_lock_shared(1, 2)",
        "CREATE ROLE mine",
        "SET SESSION AUTHORIZATION tidemark",
        "SET ROLE tidemark",
    ):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await user.execute(statement)
    for view in VIEWS:
        with pytest.raises(asyncpg.ObjectNotInPrerequisiteStateError, match="cannot delete from view"):
            await user.execute(f"DELETE FROM tidemark.{view}")


async def test_a_temporary_table_takes_no_tables_place(owner: Connection, user: Connection) -> None:
    await append(owner, {(99, microseconds(BEGIN)): Stored(1.0)})
    await user.execute("SET default_transaction_read_only = off")
    await user.execute("CREATE TEMPORARY TABLE own_sensor AS SELECT 12 AS series_id")
    await user.execute("CREATE TEMPORARY TABLE reading_log AS SELECT 1 AS run")
    await user.execute("SET search_path = pg_temp, tidemark")
    assert await user.fetchval("SELECT count(*) FROM tidemark.reading") == 1
    assert await user.fetch("SELECT * FROM public.own_unsettled(12, true)") != []


async def test_its_sessions_are_limited_and_read_in_one_snapshot(user: Connection) -> None:
    for name, value in {
        "default_transaction_isolation": "repeatable read",
        "default_transaction_read_only": "on",
        "plan_cache_mode": "force_custom_plan",
        "jit": "off",
        "statement_timeout": "1min",
        "search_path": "tidemark",
        "TimeZone": "UTC",
    }.items():
        assert await user.fetchval("SELECT current_setting($1)", name) == value
    assert await user.fetchval("SELECT rolconnlimit FROM pg_roles WHERE rolname = current_user") == 10


@pytest.mark.parametrize("condition", ["sensor = 's11'", "sensor IN ('s11', 's12')"])
async def test_conditions_on_sensor_and_time_reach_the_store(
    engine: str, owner: Connection, user: Connection, condition: str
) -> None:
    """The index is searched by series, and where the store has a row for each reading, by time too."""
    await store(owner, engine, {(11, microseconds(BEGIN + timedelta(days=day))): Stored(1.0) for day in range(600)})
    await user.execute("SET enable_seqscan = off")  # the table is small
    rows = await user.fetch(
        f"EXPLAIN SELECT * FROM reading WHERE {condition} AND ts BETWEEN '2024-04-02' AND '2024-04-03'"
    )
    plan = "\n".join(row[0] for row in rows)
    if engine == "timescale":
        assert len(set(re.findall(r" on (_hyper_\d+_\d+_chunk)", plan))) == 1, plan
    assert re.search(r"Index Cond: .*series_id = \w+.series_id", plan), plan
    assert re.search(r"(Index Cond|Filter): .*\(id = ", plan), plan


async def test_sql_users_are_listed_and_dropped_by_their_organization_alone(
    migrated_url: str, owner: Connection
) -> None:
    company_id = await company_of(owner)
    other = (await organizations.create(owner, {"name": "Other"})).organization["company_id"]
    name = f"{urlsplit(migrated_url).path[1:]}_listed"
    made = await sql_users.create(owner, company_id, name)
    assert made["name"] == f"tidemark_{name}"
    stored = await owner.fetchval("SELECT rolpassword FROM pg_authid WHERE rolname = $1", made["name"])
    assert stored.startswith("SCRAM-SHA-256$4096:")
    assert made["password"] not in stored
    listed = await sql_users.every(owner, company_id)
    assert listed == [{field: value for field, value in made.items() if field != "password"}]
    assert listed[0]["can_log_in"] is True
    assert await sql_users.every(owner, other) == []
    with pytest.raises(Exception, match="There is a role"):
        await sql_users.create(owner, other, name)
    with pytest.raises(Exception, match="There is no SQL user"):
        await sql_users.drop(owner, other, name)

    session = await asyncpg.connect(migrated_url, user=made["name"])
    ended = asyncio.Event()
    session.add_termination_listener(lambda _session: ended.set())
    await session.execute("SET default_transaction_read_only = off")
    await session.execute("CREATE TEMPORARY TABLE of_its_own (a integer)")
    await sql_users.drop(owner, company_id, made["name"])
    await asyncio.wait_for(ended.wait(), 10)
    assert await sql_users.every(owner, company_id) == []
    assert await owner.fetchval("SELECT count(*) FROM pg_roles WHERE rolname = $1", made["name"]) == 0


@pytest.mark.parametrize("name", ["", "Grafana", "a-b", 'a"b', "a b", "1a", "x" * 41, "tidemark_"])
def test_names_are_identifiers(name: str) -> None:
    with pytest.raises(Exception, match="The name must be"):
        sql_users.role_of(name)


async def test_a_role_that_is_no_superuser_needs_the_right_to_create_roles(
    migrated_url: str, owner: Connection
) -> None:
    role = f"weak_{urlsplit(migrated_url).path[1:]}"
    await owner.execute(f"CREATE ROLE {role} LOGIN; GRANT ALL ON ALL TABLES IN SCHEMA public TO {role}")
    weak = await asyncpg.connect(migrated_url, user=role)
    with pytest.raises(Exception, match="CREATEROLE"):
        await sql_users.create(weak, await company_of(owner), "weak")
    await owner.execute(f"ALTER ROLE {role} CREATEROLE")
    await sql_users.create(weak, await company_of(owner), role)
    await sql_users.drop(weak, await company_of(owner), role)
    await weak.close()
    await owner.execute(f"DROP OWNED BY {role}; DROP ROLE {role}")
