"""The rules that keep the last write the winner, each in a scenario that goes wrong without it.

Those of appends are in tests/readings/log: the first statement and closed runs (test_closing), the deadline of
abandoned appends and the end of their sessions (test_append). `order_model` tries every order in which things happen.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from itertools import count
from typing import Any

import asyncpg
import pytest
from tidemark.base.time import MINUTE, Window, instant, microseconds
from tidemark.database.database import QUERY_SESSION, SESSION
from tidemark.database.migration import migrate
from tidemark.database.statements import SQL, Part, Sources, Statement, Statements, files, statements
from tidemark.embedded.server import Server
from tidemark.readings.log import closing
from tidemark.readings.log.closing import closed_before
from tidemark.readings.log.merge import WORTH_MERGING
from tidemark.readings.settling import deletion, turn
from tidemark.readings.settling.changes import put
from tidemark.readings.settling.deletion import delete_settled
from tidemark.readings.settling.merging import merge_runs
from tidemark.readings.settling.restored import settle_restored
from tidemark.readings.settling.turn import store_held

from tests.readings.log_by_hand import Key, Stored, append, everything
from tests.readings.store_and_log import (
    BEGIN,
    SERIES,
    Connection,
    Connections,
    connections_to,
    settle_everything,
    settle_some,
    write,
)

_numbers = count(1)
both = pytest.mark.parametrize("rule", [True, False], ids=["with", "without"])


@pytest.fixture(scope="session")
def rules_database(server: Server) -> str:
    """The URL of a database that these tests share, each with an instant of its own."""

    async def make() -> None:
        admin = await asyncpg.connect(server.url_of("postgres"))
        await admin.execute("CREATE DATABASE rules_of_order")
        await admin.close()
        connection = await asyncpg.connect(server.url_of("rules_of_order"))
        await migrate(connection)
        await connection.close()
        async with connections_to(server.url_of("rules_of_order")):
            pass

    asyncio.run(make())
    return server.url_of("rules_of_order")


@pytest.fixture
async def connections(engine: str, rules_database: str) -> AsyncIterator[Connections]:
    """Connections to it; its log is empty."""
    async with AsyncExitStack() as stack:
        found = Connections(rules_database, stack)
        await settle_everything(await found.one(), engine)
        yield found


@pytest.fixture
def key() -> Key:
    """The series and the instant of all that a test writes."""
    return SERIES[0], microseconds(BEGIN) + next(_numbers) * MINUTE


async def found(connection: Connection, key: Key, asked: Statement | None = None) -> list[float]:
    """What a reader finds there."""
    window = {"series_ids": [key[0]], "start": instant(key[1]), "finish": instant(key[1] + 1), "max_rows": 10}
    if asked is None:
        rows = await statements().readings_by_timestamp_asc.rows(connection, **window)
    else:
        rows = await asked.rows(connection, **window)
    return [row["value"] for row in rows]


@both
async def test_what_is_unsettled_wins_over_what_is_settled(
    engine: str, connections: Connections, key: Key, rule: bool
) -> None:
    writer, reader = await connections.one(), await connections.one(QUERY_SESSION)
    await write(writer, {key: 1.0})
    await settle_everything(writer, engine)
    await write(writer, {key: 2.0})
    sources = Sources.of(files(SQL / "queries", ""))
    if not rule:
        sources.parts["is_not_overridden"] = Part("true", ())
    asked = Statement.parse("asked", sources.complete(sources.statements["readings_by_timestamp_asc"]))
    assert sorted(await found(reader, key, asked)) == ([2.0] if rule else [1.0, 2.0])


@both
async def test_the_oldest_runs_are_settled_first(
    engine: str, connections: Connections, key: Key, monkeypatch: pytest.MonkeyPatch, rule: bool
) -> None:
    writer, reader = await connections.one(), await connections.one(QUERY_SESSION)
    for value in (1.0, 2.0, 3.0):
        await write(writer, {key: value})
    if not rule:
        sources = Sources.of(files(SQL / "queries", ""))
        sources.statements["appended_before"] = sources.statements["appended_before"].replace("xid;", "xid DESC;")
        newest_first = Statements(sources)
        monkeypatch.setattr(turn, "statements", lambda: newest_first)
    await settle_some(writer, engine, 1)
    assert await found(reader, key) == ([3.0] if rule else [2.0])


@both
async def test_only_closed_runs_are_settled(
    engine: str, connections: Connections, key: Key, monkeypatch: pytest.MonkeyPatch, rule: bool
) -> None:
    """Otherwise one that commits while newer ones are being settled wins over them, although nobody writes any more."""
    settler, slow, quick = [await connections.one() for _ in range(3)]
    reader = await connections.one(QUERY_SESSION)
    slow_write = slow.transaction()
    await slow_write.start()
    await write(slow, {key: 1.0})
    await write(quick, {key: 2.0})
    has_snapshot, may_put = asyncio.Event(), asyncio.Event()

    async def put_in_time(*args: Any) -> None:
        has_snapshot.set()
        await may_put.wait()
        await put(*args)

    async def nobody(_: object) -> set[str]:
        return set()

    monkeypatch.setattr(turn, "put", put_in_time)
    if not rule:
        monkeypatch.setattr(closing, "_writers", nobody)
    settling = asyncio.create_task(settle_some(settler, engine, 1000))
    if rule:
        await asyncio.wait([settling], timeout=0.1)
        assert not has_snapshot.is_set()
    else:
        await has_snapshot.wait()
    await slow_write.commit()
    assert await found(reader, key) == [2.0]
    may_put.set()
    await settling
    assert await found(reader, key) == ([2.0] if rule else [1.0])


@both
async def test_only_closed_runs_are_merged(engine: str, connections: Connections, key: Key, rule: bool) -> None:
    """Otherwise a merged run with the place of its last part wins over one that is newer than some of the parts."""
    settler, slow, quick = [await connections.one() for _ in range(3)]
    reader = await connections.one(QUERY_SESSION)
    await write(quick, {key: 1.0})
    slow_write = slow.transaction()
    await slow_write.start()
    await write(slow, {key: 2.0})
    for number in range(WORTH_MERGING):
        await write(quick, {(SERIES[1], key[1] + number): 0.0})
    async with store_held(settler):
        if rule:
            closed = asyncio.create_task(closed_before(settler))
            await asyncio.wait([closed], timeout=0.05)
            assert not closed.done()
            await slow_write.commit()
            assert await merge_runs(settler, await closed)
        else:
            assert await merge_runs(settler, 2**62)
            await slow_write.commit()
    assert await found(reader, key) == ([2.0] if rule else [1.0])


@both
async def test_a_delete_settles_first(
    engine: str, connections: Connections, key: Key, monkeypatch: pytest.MonkeyPatch, rule: bool
) -> None:
    connection, reader = await connections.one(), await connections.one(QUERY_SESSION)
    await write(connection, {key: 1.0})

    async def nothing(*_: object) -> int:
        return 0

    if not rule:
        monkeypatch.setattr(deletion, "settle_all", nothing)
    assert await delete_settled(connection, engine, key[0], Window(key[1], key[1] + 1)) == int(rule)
    assert await found(reader, key) == ([] if rule else [1.0])


@both
async def test_store_and_log_are_read_in_one_snapshot(
    engine: str, connections: Connections, key: Key, rule: bool
) -> None:
    """Otherwise what is settled between the two is in neither of them."""
    settler = await connections.one()
    reader = await connections.one(QUERY_SESSION if rule else SESSION)
    await write(settler, {key: 1.0})

    class Interrupted:
        """A reader's connection beside which the log is settled as soon as the store has been read."""

        async def fetch(self, *asked: Any) -> Any:
            rows = await reader.fetch(*asked)
            await settle_everything(settler, engine)
            return rows

    async with reader.transaction():
        assert (key in await everything(Interrupted())) == rule  # type: ignore[arg-type]
    async with reader.transaction():
        assert key in await everything(reader)


@both
async def test_a_log_from_another_server_is_settled_before_anything_is_written(
    engine: str, connections: Connections, key: Key, rule: bool
) -> None:
    """As a dump brings it. Otherwise what is written loses against it until this server has come to its ids."""
    writer, reader = await connections.one(), await connections.one(QUERY_SESSION)
    own = await writer.fetchval("SELECT pg_current_xact_id()")
    for number in (1, 2):
        await append(writer, {key: Stored(float(number))}, xid=own + 1_000_000 * number)
    await writer.execute("UPDATE settled SET xid = $1", own + 500_000)
    if rule:
        assert await settle_restored(writer, engine) == 2
        assert await settle_restored(writer, engine) == 0
        assert await writer.fetchval("SELECT xid FROM settled") == 0
        assert await found(reader, key) == [2.0]
    await write(writer, {key: 3.0})
    await settle_everything(writer, engine)
    assert await found(reader, key) == ([3.0] if rule else [2.0])
    await settle_restored(writer, engine)
