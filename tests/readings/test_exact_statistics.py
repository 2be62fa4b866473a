"""Statistics equal a plain recomputation in the same snapshot, whatever happens meanwhile."""

import asyncio
import random
from collections.abc import AsyncIterator, Iterable
from datetime import timedelta
from zoneinfo import ZoneInfo

import pytest
from tidemark.base.time import DAY, HOUR, Window, instant, microseconds
from tidemark.database.database import QUERY_SESSION, Database
from tidemark.readings.buckets import CalendarDays
from tidemark.readings.fill import Fill
from tidemark.readings.series import page_of_buckets
from tidemark.readings.settling.deletion import delete_settled
from tidemark.readings.statistics import Statistics, statistics
from tidemark.server import maintenance

from tests.readings.log_by_hand import everything
from tests.readings.store_and_log import (
    BEGIN,
    DAYS,
    SERIES,
    Connection,
    Connections,
    beside_the_settler,
    connections_to,
    random_instant,
    random_values,
    random_window,
    roll_up,
    settle_everything,
    settle_some,
    write,
)

UTC_DAYS = CalendarDays(ZoneInfo("UTC"))
CHECKS = 100
WRITERS = 3
BATCHES = 4


@pytest.fixture
async def connections(migrated_url: str) -> AsyncIterator[Connections]:
    async with connections_to(migrated_url) as found:
        yield found


async def check(connection: Connection, windows: Iterable[Window], read_line: int) -> int:
    """Compare with all readings in one snapshot; returns the read line."""
    line = 0
    async with connection.transaction():
        known = await everything(connection)
        for window in windows:
            found, line = await statistics(connection, SERIES, window, read_line)
            for series in SERIES:
                values = [
                    stored.value
                    for (one, at), stored in known.items()
                    if one == series and window.start <= at < window.finish
                ]
                agree(found[series], values, f"series {series}, {instant(window.start)} to {instant(window.finish)}")
    return line


def agree(found: Statistics, values: list[float], where: str) -> None:
    """Count and extremes equal, the mean within 1e-9 of the mean size of the values."""
    assert found.count == len(values), where
    if values:
        assert (found.minimum, found.maximum) == (min(values), max(values)), where
        size = sum(map(abs, values)) / len(values)
        assert found.mean == pytest.approx(sum(values) / len(values), rel=0, abs=1e-9 * size + 1e-300), where


async def test_under_writers_deletes_and_the_settler(engine: str, connections: Connections) -> None:
    seed = random.randrange(2**32)
    print("seed", seed)
    chance, reader, line = random.Random(seed - 1), await connections.one(QUERY_SESSION), 0

    async def change(connection: Connection, rng: random.Random) -> None:
        if rng.random() < 0.1:
            start = random_instant(rng)
            window = Window(start, start + rng.choice((HOUR, DAY)))
            await delete_settled(connection, engine, rng.choice(SERIES), window)
        else:
            await write(connection, random_values(rng))

    async def question() -> None:
        nonlocal line
        # Any line that was one once will do; an older one only costs time.
        line = await check(reader, [random_window(chance) for _ in range(4)], chance.choice((line, line, 0)))

    await beside_the_settler(
        connections, engine, seed, writer=change, writers=WRITERS, batches=BATCHES, check=question, checks=CHECKS
    )
    job = await connections.one()
    await settle_everything(job, engine)
    assert not await reader.fetchval("SELECT count(*) FROM reading_log")
    rng = random.Random(seed)
    for _ in range(10):
        line = microseconds(BEGIN + timedelta(days=rng.randrange(DAYS)))
        await check(reader, [random_window(rng) for _ in range(4)], line)


async def test_settles_miss_nothing_while_chunks_come_into_being(engine: str, connections: Connections) -> None:
    weeks, hours = 60, 8
    job, reader = await connections.one(), await connections.one(QUERY_SESSION)
    line = BEGIN + timedelta(weeks=weeks + 1)
    await roll_up(job, engine, line)
    unwritten = list(range(weeks))
    finished = 0

    async def writes() -> None:
        nonlocal finished
        connection = await connections.one()
        while unwritten:
            start = microseconds(BEGIN + timedelta(weeks=unwritten.pop()))
            for hour in range(hours):
                await write(connection, {(SERIES[hour % 3], start + hour * HOUR): 1.0})
        finished += 1

    async def settles() -> None:
        while finished < WRITERS:
            await settle_some(job, engine, 20)
            await check(reader, [Window()], microseconds(line))

    async with asyncio.TaskGroup() as group:
        for _ in range(WRITERS):
            group.create_task(writes())
        group.create_task(settles())
    await settle_everything(job, engine)
    await check(reader, [Window()], microseconds(line))
    found, _ = await statistics(reader, SERIES, Window(), microseconds(line))
    assert sum(one.count for one in found.values()) == weeks * hours


async def test_readings_scattered_over_fifty_years_are_answered_and_settled(
    connections: Connections, engine: str
) -> None:
    job, reader = await connections.one(), await connections.one(QUERY_SESSION | {"statement_timeout": "20s"})
    rng = random.Random(50)
    scattered = {
        (rng.choice(SERIES), microseconds(BEGIN) - rng.randrange(50 * 365 * 86400) * 1_000_000): rng.uniform(-50, 50)
        for _ in range(3000)
    }
    await write(await connections.one(), scattered)
    line = microseconds(BEGIN)
    await check(reader, [Window()], line)
    async with reader.transaction():
        days, _ = await page_of_buckets(reader, [SERIES], Window(0, line), UTC_DAYS, Fill.NONE, 50_000, 0)
    assert sum(day.count for day in days) == len(scattered)
    assert await settle_everything(job, engine) == len(scattered)
    await check(reader, [Window()], line)
    assert await delete_settled(job, engine, SERIES[0], Window()) == sum(series == SERIES[0] for series, _ in scattered)
    await check(reader, [Window()], line)


async def test_maintenance_catches_up_by_itself(connections: Connections, migrated_url: str) -> None:
    writer, reader = await connections.one(), await connections.one(QUERY_SESSION)
    await write(writer, {(SERIES[0], microseconds(BEGIN) + 12_345): 3.0})
    job = asyncio.create_task(maintenance.run(Database(migrated_url), 1_000_000))
    while (line := await reader.fetchval("SELECT read_line FROM rollup_line")) == BEGIN:
        assert not job.done()
    assert not await reader.fetchval("SELECT count(*) FROM reading_log")
    await check(reader, [Window()], microseconds(line))
    job.cancel()
    await asyncio.gather(job, return_exceptions=True)
