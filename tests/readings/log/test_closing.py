"""The closing rule on real servers: below a horizon that has been returned, nothing appears in the log any more."""

import asyncio
import random
from contextlib import AsyncExitStack

import asyncpg
import pytest
from tidemark.readings.log import closing
from tidemark.readings.log.closing import closed_before

from tests.readings.log.proxy import COPY_DONE, proxied
from tests.readings.log.readings import NOW, copy, single

WRITERS = 8
STRESS_SECONDS = 2.5
DEADLINE = 2 * NOW


async def open_connection(url: str, stack: AsyncExitStack) -> "asyncpg.Connection[asyncpg.Record]":
    """A connection that is closed at the end."""
    connection = await asyncpg.connect(url)
    stack.push_async_callback(connection.close)
    return connection


async def append(connection: "asyncpg.Connection[asyncpg.Record]") -> None:
    """Append something."""
    await copy(connection, [single(1, 1, NOW, 1.0)], DEADLINE)


async def xids_before(connection: "asyncpg.Connection[asyncpg.Record]", horizon: int) -> set[int]:
    """The transactions of the log below a horizon."""
    rows = await connection.fetch("SELECT xid FROM reading_log WHERE xid < $1", horizon)
    return {row["xid"] for row in rows}


async def test_an_open_append_is_waited_for(log_url: str) -> None:
    async with AsyncExitStack() as stack:
        settler, slow, quick = [await open_connection(log_url, stack) for _ in range(3)]
        transaction = slow.transaction()
        await transaction.start()
        await append(slow)
        await append(quick)
        closed = asyncio.create_task(closed_before(settler))
        done, _ = await asyncio.wait([closed], timeout=0.2)
        assert not done
        await append(quick)  # which no writer waits for
        await transaction.commit()
        assert len(await xids_before(settler, await closed)) >= 2


async def test_nobody_else_is_waited_for(log_url: str) -> None:
    """Neither those who read the log, nor those who have an id and do not write to it."""
    async with AsyncExitStack() as stack:
        settler, reader, writer, other = [await open_connection(log_url, stack) for _ in range(4)]
        for one in (reader, other):
            await one.execute("BEGIN")
        await reader.fetch("SELECT * FROM reading_log")
        await other.execute("CREATE TABLE elsewhere (n integer)")
        await append(writer)
        async with asyncio.timeout(5):
            horizon = await closed_before(settler)
        assert len(await xids_before(settler, horizon)) == 1


async def test_an_append_that_is_not_the_first_statement_appears_below_the_horizon(log_url: str) -> None:
    """Why it must be: the transaction has its id, and is not among the writers yet."""
    async with AsyncExitStack() as stack:
        settler, early, writer = [await open_connection(log_url, stack) for _ in range(3)]
        transaction = early.transaction()
        await transaction.start()
        await early.fetchval("SELECT pg_current_xact_id()")
        await append(writer)
        horizon = await closed_before(settler)
        closed = await xids_before(settler, horizon)
        await append(early)
        await transaction.commit()
        assert closed < await xids_before(settler, horizon)


async def test_a_writer_whose_client_stops_while_it_sends_is_ended(
    log_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(closing, "PATIENCE_SECONDS", 0.1)
    async with AsyncExitStack() as stack:
        proxy = await stack.enter_async_context(proxied(log_url))
        settler, stopped = [await open_connection(url, stack) for url in (log_url, proxy.url)]
        proxy.hold()
        appending = asyncio.create_task(append(stopped))
        link = await proxy.once_sent()
        link.release(-len(COPY_DONE))
        while not await settler.fetchval("SELECT count(*) FROM pg_stat_activity WHERE backend_xid IS NOT NULL"):
            await asyncio.sleep(0.001)
        async with asyncio.timeout(10):
            horizon = await closed_before(settler)
        with pytest.raises(asyncpg.PostgresError):
            await appending
        assert await xids_before(settler, horizon) == set()


async def keep_appending(connection: "asyncpg.Connection[asyncpg.Record]", rng: random.Random) -> None:
    """Transactions that append, with delays and savepoints, some undone."""
    while True:
        transaction = connection.transaction()
        await transaction.start()
        await append(connection)
        for _ in range(rng.randrange(3)):
            savepoint = connection.transaction()
            await savepoint.start()
            await append(connection)
            await asyncio.sleep(rng.uniform(0, 0.02))
            await (savepoint.commit() if rng.random() < 0.5 else savepoint.rollback())
        await (transaction.commit() if rng.random() < 0.9 else transaction.rollback())


async def violations(url: str, *, enough: int) -> tuple[int, int]:
    """Settle again and again beside writers: how many turns, and how many runs have appeared below a stored horizon."""
    async with AsyncExitStack() as stack:
        settler, *connections = [await open_connection(url, stack) for _ in range(WRITERS + 1)]
        writers = [
            asyncio.create_task(keep_appending(connection, random.Random(number)))
            for number, connection in enumerate(connections)
        ]
        finish = asyncio.get_running_loop().time() + STRESS_SECONDS
        stored, turns, appeared = 0, 0, 0
        while asyncio.get_running_loop().time() < finish and appeared < enough:
            horizon = await closed_before(settler)
            async with settler.transaction(isolation="repeatable_read"):
                appeared += len(await xids_before(settler, stored))
                await settler.execute("DELETE FROM reading_log WHERE xid < $1", horizon)
            stored, turns = max(stored, horizon), turns + 1
        for writer in writers:
            writer.cancel()
        await asyncio.gather(*writers, return_exceptions=True)
    return turns, appeared


async def test_nothing_appears_below_a_horizon(log_url: str) -> None:
    turns, appeared = await violations(log_url, enough=1)
    assert turns > 5
    assert appeared == 0


async def test_something_does_when_writers_are_not_waited_for(log_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async def nobody(_: object) -> set[str]:
        return set()

    monkeypatch.setattr(closing, "_writers", nobody)
    _, appeared = await violations(log_url, enough=1)
    assert appeared > 0
