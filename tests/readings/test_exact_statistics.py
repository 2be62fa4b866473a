"""Statistics equal a plain recomputation in the same snapshot, whatever happens meanwhile."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from typing import Any, TypeAlias
from zoneinfo import ZoneInfo

import asyncpg
import pytest
from tidemark.base.time import DAY, HOUR, Window, instant, microseconds
from tidemark.database.database import QUERY_SESSION, SESSION, Database
from tidemark.database.statements import statements
from tidemark.readings import rollup
from tidemark.readings.buckets import CalendarDays
from tidemark.readings.fill import Fill
from tidemark.readings.series import page_of_buckets
from tidemark.readings.statistics import Statistics, statistics
from tidemark.server import maintenance

BEGIN = datetime(2024, 3, 25, tzinfo=UTC)
DAYS = 20
SERIES = (11, 12, 13)
UTC_DAYS = CalendarDays(ZoneInfo("UTC"))
CHECKS = 150
WRITERS = 3

Connection: TypeAlias = "asyncpg.Connection[Any]"
RAW = """
    SELECT count(*), min(value), max(value), sum(value) / count(*) AS mean, avg(abs(value)) AS size
    FROM reading WHERE series_id = $1 AND ts >= $2 AND ts < $3
"""


@pytest.fixture
async def connect(migrated_url: str) -> AsyncIterator[Callable[..., Coroutine[Any, Any, Connection]]]:
    """Connections to an empty database whose lines stand where the test's readings begin."""
    async with AsyncExitStack() as stack:

        async def one(settings: dict[str, str] = SESSION) -> Connection:
            connection: Connection = await asyncpg.connect(migrated_url, server_settings=settings)
            stack.push_async_callback(connection.close)
            return connection

        await (await one()).execute("UPDATE rollup_line SET read_line = $1, mark_line = $1", BEGIN)
        yield one


async def committed(work: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Do work until no crossing writer stands in its way, as a committer does: a delete locks rows in no order."""
    while True:
        try:
            return await work()
        except asyncpg.DeadlockDetectedError:
            continue


async def write(connection: Connection, readings: dict[tuple[int, int], float]) -> None:
    """Store readings by (series, microseconds), as the writer does."""
    keys = sorted(readings)
    nothing = [None] * len(keys)
    await committed(
        lambda: statements().write_readings.run(
            connection,
            series_ids=[series for series, _ in keys],
            at_us=[at for _, at in keys],
            reading_values=[readings[key] for key in keys],
            latitude=nothing,
            longitude=nothing,
            x_axis_value=nothing,
            metadata=nothing,
        )
    )


async def remove(connection: Connection, series: int, start: int, finish: int) -> None:
    """Delete readings as a correction does: marked under the line's lock, in one transaction."""

    async def deleted() -> None:
        async with connection.transaction():
            line = await connection.fetchval("SELECT hold_mark_line()")
            await connection.execute(
                """
                WITH gone AS (DELETE FROM reading WHERE series_id = $1 AND ts >= $2 AND ts < $3 RETURNING ts)
                INSERT INTO late_mark
                SELECT DISTINCT $1::integer, date_trunc('hour', ts, 'UTC') FROM gone WHERE ts < $4
                """,
                series,
                instant(start),
                instant(finish),
                line,
            )

    await committed(deleted)


async def maintain(connection: Connection, engine: str, rng: random.Random, done: asyncio.Event) -> None:
    """Do what the maintenance job does, at random, until `done` is set."""
    line = BEGIN
    while not done.is_set():
        line = min(line + timedelta(hours=rng.randrange(30)), BEGIN + timedelta(days=DAYS))
        await rollup.move_line(connection, engine, line)
        for _ in range(rng.randrange(4)):
            await rollup.repair(connection, engine)
        if engine == "timescale" and rng.random() < 0.3:
            await connection.execute("UPDATE reading_hourly_repair SET repaired_at = now() - interval '1 day'")
            await rollup.absorb(connection, engine)


async def check(connection: Connection, window: Window, read_line: int) -> int:
    """Compare with raw rows in one snapshot; answers the read line."""
    async with connection.transaction():
        found, line = await statistics(connection, SERIES, window, read_line)
        for series in SERIES:
            raw = await connection.fetchrow(RAW, series, instant(window.start), instant(window.finish))
            assert raw is not None
            agree(found[series], raw, f"series {series}, {instant(window.start)} to {instant(window.finish)}")
    return line


def agree(found: Statistics, raw: "asyncpg.Record", where: str) -> None:
    """Count and extremes equal, the mean within 1e-9 of the mean size of the values."""
    assert (found.count, found.minimum, found.maximum) == (raw["count"], raw["min"], raw["max"]), where
    if raw["count"]:
        assert found.mean == pytest.approx(raw["mean"], rel=0, abs=1e-9 * raw["size"] + 1e-300), where


def random_instant(rng: random.Random) -> int:
    """Any second; often right at the border of an hour or a day."""
    at = microseconds(BEGIN) + rng.randrange(DAYS * 86400) * 1_000_000
    return rng.choice((at, at, at - at % HOUR, at - at % DAY, at - at % DAY - 1, at - at % HOUR + HOUR - 1))


def random_window(rng: random.Random) -> Window:
    """Any window, sometimes open or empty."""
    first, last = sorted((random_instant(rng), random_instant(rng)))
    return rng.choice((Window(first, last), Window(first, last), Window(first, first + 1), Window(), Window(first)))


def random_readings(rng: random.Random) -> dict[tuple[int, int], float]:
    """A batch: some of it dense in one hour, some of it far apart, with values that cancel out."""
    around = random_instant(rng)
    return {
        (
            rng.choice(SERIES),
            rng.choice((random_instant(rng), around + rng.randrange(3600) * 1_000_000)),
        ): rng.choice((rng.uniform(-50, 50), float(rng.randrange(100)), 1e12, -1e12))
        for _ in range(rng.randrange(1, 60))
    }


async def test_under_writers_line_moves_and_repairs(
    engine: str, connect: Callable[..., Coroutine[Any, Any, Connection]]
) -> None:
    seed = random.randrange(2**32)
    print("seed", seed)
    done = asyncio.Event()

    async def writes(number: int) -> None:
        rng = random.Random(seed + number)
        connection = await connect()
        while not done.is_set():
            if rng.random() < 0.2:
                start = random_instant(rng)
                await remove(connection, rng.choice(SERIES), start, start + rng.choice((HOUR, DAY)))
            else:
                await write(connection, random_readings(rng))

    async def reads() -> None:
        rng = random.Random(seed - 1)
        connection = await connect(QUERY_SESSION)
        line = 0
        for _ in range(CHECKS):
            # Any line that was one once will do; an older one only costs time.
            line = await check(connection, random_window(rng), rng.choice((line, line, 0)))
        done.set()

    try:
        async with asyncio.TaskGroup() as group:
            for number in range(WRITERS):
                group.create_task(writes(number))
            group.create_task(maintain(await connect(), engine, random.Random(seed), done))
            group.create_task(reads())
    finally:
        done.set()
    connection = await connect(QUERY_SESSION)
    maintenance = await connect()
    while await rollup.repair(maintenance, engine):
        pass
    rng = random.Random(seed)
    for _ in range(30):
        await check(connection, random_window(rng), microseconds(BEGIN + timedelta(days=rng.randrange(DAYS))))


async def test_a_line_waits_for_writers_that_go_by_the_old_one(
    engine: str, connect: Callable[..., Coroutine[Any, Any, Connection]]
) -> None:
    writer, job, reader = await connect(), await connect(), await connect(QUERY_SESSION)
    at = microseconds(BEGIN) + HOUR
    transaction = writer.transaction()
    await transaction.start()
    await write(writer, {(SERIES[0], at): 5.0})  # not marked: the line has not passed it
    moving = asyncio.create_task(rollup.move_line(job, engine, BEGIN + timedelta(days=2)))
    watcher = await connect()
    while not await watcher.fetchval(
        "SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND NOT granted)"
    ):
        assert not moving.done(), "the line moved past a writer that does not mark"
    await transaction.commit()
    assert await moving
    await check(reader, Window(), 0)
    line = await check(reader, Window(), microseconds(BEGIN))
    assert line == microseconds(BEGIN) + 2 * DAY
    await check(reader, Window(), line)


async def test_a_repair_settles_only_marks_that_its_snapshot_sees(
    engine: str, connect: Callable[..., Coroutine[Any, Any, Connection]]
) -> None:
    writer, job, reader = await connect(), await connect(), await connect(QUERY_SESSION)
    at = microseconds(BEGIN) + HOUR
    await rollup.move_line(job, engine, BEGIN + timedelta(days=9))
    await write(writer, {(SERIES[0], at): 1.0})
    async with job.transaction(isolation="repeatable_read"):
        await job.execute("SELECT 1")  # takes the snapshot
        await write(writer, {(SERIES[0], at + 1): 7.0})  # the same hour, and already later than that snapshot
        await rollup.repair_in_snapshot(job, engine)
    line = microseconds(BEGIN) + 9 * DAY
    await check(reader, Window(), line)
    assert await rollup.repair(job, engine) == 1
    await check(reader, Window(), line)
    found, _ = await statistics(reader, SERIES, Window(), line)
    assert found[SERIES[0]] == Statistics(2, 1.0, 7.0, 4.0)


async def test_repairs_miss_nothing_while_chunks_come_into_being(
    engine: str, connect: Callable[..., Coroutine[Any, Any, Connection]]
) -> None:
    weeks, hours = 150, 8
    job, reader = await connect(), await connect(QUERY_SESSION)
    await rollup.move_line(job, engine, BEGIN + timedelta(weeks=weeks + 1))
    unwritten = list(range(weeks))
    finished = 0

    async def writes() -> None:
        nonlocal finished
        connection = await connect()
        while unwritten:
            start = microseconds(BEGIN + timedelta(weeks=unwritten.pop()))
            for hour in range(hours):
                await write(connection, {(SERIES[hour % 3], start + hour * HOUR): 1.0})
        finished += 1

    async def repairs() -> None:
        while finished < WRITERS:
            await rollup.repair(job, engine)

    async with asyncio.TaskGroup() as group:
        for _ in range(WRITERS):
            group.create_task(writes())
        group.create_task(repairs())
    while await rollup.repair(job, engine):
        pass
    line = microseconds(BEGIN + timedelta(weeks=weeks + 1))
    await check(reader, Window(), line)
    found, _ = await statistics(reader, SERIES, Window(), line)
    assert sum(one.count for one in found.values()) == weeks * hours


async def test_readings_scattered_over_fifty_years_are_answered_and_settled(
    connect: Callable[..., Coroutine[Any, Any, Connection]], engine: str
) -> None:
    job, reader = await connect(), await connect(QUERY_SESSION | {"statement_timeout": "20s"})
    await job.execute("SET statement_timeout = '20s'")
    await rollup.move_line(job, engine, BEGIN)
    rng = random.Random(50)
    scattered = {
        (rng.choice(SERIES), microseconds(BEGIN) - rng.randrange(50 * 365 * 86400) * 1_000_000): rng.uniform(-50, 50)
        for _ in range(3000)
    }
    writer = await connect()
    years = sorted(scattered)
    for start in range(0, len(years), 500):
        await write(writer, {key: scattered[key] for key in years[start : start + 500]})
    marks = await reader.fetchval("SELECT count(*) FROM late_mark")
    assert marks > 2900
    line = microseconds(BEGIN)
    await check(reader, Window(), line)
    async with reader.transaction():
        days, _ = await page_of_buckets(reader, [SERIES], Window(0, line), UTC_DAYS, Fill.NONE, 50_000, 0)
    assert sum(day.count for day in days) == len(scattered)
    assert await rollup.repair(job, engine) == marks
    await check(reader, Window(), line)


async def test_the_job_catches_up_by_itself(
    engine: str, connect: Callable[..., Coroutine[Any, Any, Connection]], migrated_url: str
) -> None:
    writer, reader = await connect(), await connect(QUERY_SESSION)
    await write(writer, {(SERIES[0], microseconds(BEGIN) + 12_345): 3.0})
    job = asyncio.create_task(maintenance.run(Database(migrated_url), engine))
    while (line := await reader.fetchval("SELECT read_line FROM rollup_line")) == BEGIN:
        assert not job.done()
    await write(writer, {(SERIES[0], microseconds(BEGIN) + 54_321): 4.0})
    await check(reader, Window(), microseconds(line))
    while await reader.fetchval("SELECT count(*) FROM late_mark"):
        assert not job.done()
    await check(reader, Window(), microseconds(line))
    job.cancel()
    await asyncio.gather(job, return_exceptions=True)
