"""Who changes the store holds its lock, and lets go of it whatever happens."""

import asyncio
from collections.abc import AsyncIterator
from threading import Thread

import asyncpg
import pytest
from tidemark.base.time import EARLIEST, Window, microseconds
from tidemark.database.database import SESSION, Database
from tidemark.readings.settling.deletion import delete_readings, delete_settled
from tidemark.readings.settling.turn import store_held

from tests.readings.crashing import Crashing
from tests.readings.log_by_hand import everything
from tests.readings.store_and_log import BEGIN, SERIES, Connections, connections_to, settle_everything, write


@pytest.fixture
async def connections(migrated_url: str) -> AsyncIterator[Connections]:
    async with connections_to(migrated_url) as found:
        yield found


@pytest.fixture
async def database(engine: str, migrated_url: str) -> AsyncIterator[Database]:
    database = Database(migrated_url)
    await database.open()
    database.engine = engine
    database.ready.set()
    yield database
    await database.close()


def in_thread(url: str, question: str, answer: int) -> None:
    """Ask until this is the answer, while the event loop that calls stands still."""

    async def ask() -> None:
        connection = await asyncpg.connect(url)
        while await connection.fetchval(question) != answer:
            await asyncio.sleep(0.001)
        await connection.close()

    thread = Thread(target=asyncio.run, args=(ask(),))
    thread.start()
    thread.join(10)


LOCKS = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = 7463006 AND granted = {}"


async def test_a_delete_that_is_given_up_just_when_it_gets_the_lock_does_not_keep_it(
    connections: Connections, database: Database
) -> None:
    """Its session goes back to the pool, where it would hold up the settler for as long as it is used."""
    other = await connections.one()
    async with store_held(other):
        deleting = asyncio.create_task(delete_readings(database, SERIES[0], Window()))
        while await other.fetchval(LOCKS.format("false")) != 1:
            await asyncio.sleep(0.001)
    # The server has given it the lock, but it has not heard of that yet.
    in_thread(database.url, LOCKS.format("true"), 1)
    deleting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await deleting
    async with asyncio.timeout(10):
        while await other.fetchval(LOCKS.format("true")):
            await asyncio.sleep(0.001)
    async with asyncio.timeout(10):
        assert await delete_readings(database, SERIES[0], Window()) == 0


async def test_a_delete_takes_as_many_steps_as_there_are_stretches_with_readings(
    engine: str, connections: Connections, migrated_url: str
) -> None:
    """Nobody settles meanwhile; half a century with a reading at each end is not gone through month by month."""
    writer = await connections.one()
    far = {(SERIES[0], at): 1.0 for at in (EARLIEST, EARLIEST + 1, microseconds(BEGIN))}
    await write(writer, far | {(SERIES[1], EARLIEST): 2.0})
    await settle_everything(writer, engine)
    connection = await asyncpg.connect(migrated_url, server_settings=SESSION, connection_class=Crashing)
    assert await delete_settled(connection, engine, SERIES[0], Window(EARLIEST, microseconds(BEGIN))) == 2
    assert await delete_settled(connection, engine, SERIES[0], Window()) == 1
    assert connection.statements < 60
    await connection.close()
    async with writer.transaction(isolation="repeatable_read"):
        assert list(await everything(writer)) == [(SERIES[1], EARLIEST)]
    assert [row["series_id"] for row in await writer.fetch("SELECT * FROM newest_stored")] == [SERIES[1]]
