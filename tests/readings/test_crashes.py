"""Whatever changes the store may end between any two statements: nothing is lost, doubled or half done by it, and
whoever comes next carries on.
"""

import random
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta

import asyncpg
import pytest
from tidemark.base.time import DAY, HOUR, Window, microseconds
from tidemark.catalog import resources
from tidemark.catalog.resources import SENSORS
from tidemark.database.database import QUERY_SESSION, SESSION
from tidemark.readings.log.closing import closed_before
from tidemark.readings.settling.deletion import delete_settled
from tidemark.readings.settling.merging import merge_runs
from tidemark.readings.settling.settler import Settler
from tidemark.readings.settling.turn import store_held

from tests.readings.crashing import CrashError, Crashing
from tests.readings.log_by_hand import Key, Stored, everything
from tests.readings.store_and_log import (
    BEGIN,
    DAYS,
    SERIES,
    Connection,
    Connections,
    connections_to,
    random_values,
    random_window,
    roll_up,
    settle_everything,
    settle_some,
    write,
)
from tests.readings.test_exact_statistics import check

Known = Mapping[Key, Stored]
STATEMENTS = {"settle": 20, "merge": 11, "delete": 25, "close_hours": 25, "forget": 8}
"""How many statements each operation takes at least, where it does all that it does."""
BATCH, MERGED = 10, 12
"""How many readings are written at once, and in how many small runs where they are to be merged."""
FORGOTTEN = 1000
"""The number of the first series whose sensor is deleted."""


@pytest.fixture
async def connections(migrated_url: str) -> AsyncIterator[Connections]:
    async with connections_to(migrated_url) as found:
        yield found


@dataclass
class World:
    """A database, and what is to be done to it, again and again."""

    url: str
    engine: str
    rng: random.Random
    writer: Connection
    reader: Connection
    line = BEGIN
    window = Window()
    forgotten = FORGOTTEN

    async def all_there_is(self) -> Known:
        """Everything in store and log."""
        async with self.reader.transaction():
            return await everything(self.reader)

    async def known(self) -> Known:
        """All readings that have a sensor: the log may still have others."""
        sensors = {row["series_id"] for row in await self.writer.fetch("SELECT series_id FROM sensor")}
        return {key: stored for key, stored in (await self.all_there_is()).items() if key[0] in sensors}

    async def check(self) -> None:
        """Statistics are those of all readings."""
        await check(self.reader, [random_window(self.rng), self.window], microseconds(self.line))

    async def settle(self, connection: Connection) -> None:
        """Settle the oldest runs."""
        await settle_some(connection, self.engine, 2 * BATCH)

    async def merge(self, connection: Connection) -> None:
        """Merge what is worth it."""
        async with store_held(connection):
            await merge_runs(connection, await closed_before(connection))

    async def delete(self, connection: Connection) -> None:
        """Delete the window of one series."""
        await delete_settled(connection, self.engine, SERIES[0], self.window)

    async def close_hours(self, connection: Connection) -> None:
        """Move the line by a few hours."""
        await Settler(connection, self.engine, 1_000_000).step(self.line + timedelta(minutes=10))

    async def forget(self, connection: Connection) -> None:
        """Delete what is stored of deleted sensors."""
        await Settler(connection, self.engine, 1_000_000).step(BEGIN)


def batch(rng: random.Random) -> dict[Key, float]:
    """A few readings."""
    values: dict[Key, float] = {}
    while len(values) < BATCH:
        values |= random_values(rng)
    return dict(rng.sample(sorted(values.items()), BATCH))


async def prepare(world: World, name: str) -> Known:
    """Write, settle some of it, write more; return what must be there once the operation is done."""
    await write(world.writer, batch(world.rng))
    await settle_some(world.writer, world.engine, 1)
    for _ in range(MERGED if name == "merge" else 2):
        await write(world.writer, batch(world.rng))
    if name == "close_hours":
        world.line += timedelta(hours=world.rng.choice((1, 5, 26)))
    if name == "delete":
        start = microseconds(BEGIN) + world.rng.randrange(DAYS) * DAY
        world.window = Window(start, start + world.rng.choice((HOUR, DAY, 3 * DAY)))
    if name == "forget":
        await delete_a_sensor(world)
    known = await world.known()
    if name == "delete":
        return {
            (series, at): stored
            for (series, at), stored in known.items()
            if series != SERIES[0] or not world.window.start <= at < world.window.finish
        }
    return known


async def delete_a_sensor(world: World) -> None:
    """Create a sensor that has readings in the store and in the log, and delete it."""
    world.forgotten += 1
    series, sensor = world.forgotten, f"s{world.forgotten}"
    company = await world.writer.fetchval("SELECT company_id FROM sensor LIMIT 1")
    await world.writer.execute(
        "INSERT INTO sensor (series_id, company_id, id, name) OVERRIDING SYSTEM VALUE VALUES ($1, $2, $3, $3)",
        series,
        company,
        sensor,
    )
    await write(world.writer, {(series, microseconds(BEGIN) + hour * HOUR): 1.0 for hour in range(-3, 3)})
    await settle_everything(world.writer, world.engine)
    await write(world.writer, {(series, microseconds(BEGIN) + hour * HOUR): 2.0 for hour in range(-1, 5)})
    await resources.delete(world.writer, SENSORS, company, sensor)


async def attempt(world: World, work: Callable[[Connection], Awaitable[None]], crash_at: int = 0) -> bool:
    """Whether the work crashes."""
    connection = await asyncpg.connect(world.url, server_settings=SESSION, connection_class=Crashing)
    connection.crash_at = crash_at
    try:
        await work(connection)
    except (CrashError, asyncpg.InterfaceError):  # the latter is what the driver says of a connection that has closed
        assert crash_at
        return True
    finally:
        connection.terminate()
    return False


@pytest.mark.parametrize("name", STATEMENTS)
async def test_a_crash_between_any_two_statements_changes_nothing(
    engine: str, connections: Connections, migrated_url: str, name: str
) -> None:
    seed = random.randrange(2**32)
    print("seed", seed)
    world = World(
        migrated_url, engine, random.Random(seed), await connections.one(), await connections.one(QUERY_SESSION)
    )
    await roll_up(world.writer, engine, BEGIN + timedelta(days=5))
    world.line += timedelta(days=5)
    work, crash_at, crashed = getattr(world, name), 0, True
    while crashed:
        crash_at += 1
        expected = await prepare(world, name)
        before = await world.known()
        crashed = await attempt(world, work, crash_at)
        async with store_held(world.writer):  # which the server lets go once it is done with the last statement
            found = await world.known()
        assert found in (before, expected), f"after statement {crash_at}"
        await world.check()
        assert not await attempt(world, work)
        assert await world.known() == expected, f"after statement {crash_at}"
        await world.check()
    assert crash_at > STATEMENTS[name]
    await settle_everything(world.writer, engine)
    assert await world.all_there_is() == expected
    await world.check()


async def test_hours_that_were_rolled_up_in_vain_and_emptied_are_empty(
    engine: str, connections: Connections, migrated_url: str
) -> None:
    """Who rolls up ends before the line moves; then readings after the line are deleted, of which roll-ups know."""
    world = World(migrated_url, engine, random.Random(1), await connections.one(), await connections.one(QUERY_SESSION))
    start = microseconds(BEGIN)
    crash_at, crashed = 0, True
    while crashed:
        crash_at += 1
        world.line += timedelta(days=1)
        await write(world.writer, {(series, start + hour * HOUR): 1.0 for series in SERIES for hour in range(24)})
        crashed = await attempt(world, world.close_hours, crash_at)
        world.window = Window(start, start + DAY)
        await delete_settled(world.writer, engine, SERIES[0], world.window)
        await world.close_hours(world.writer)
        await world.check()
        start += DAY
    assert crash_at > 8
