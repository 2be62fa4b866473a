"""A database for tests that look at store and log from inside: what writers, the settler and deletions do to it."""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import astuple
from datetime import UTC, datetime, timedelta
from typing import Any, TypeAlias

import asyncpg
from tidemark.base.time import DAY, HOUR, Window, microseconds
from tidemark.catalog import organizations
from tidemark.database.database import SESSION
from tidemark.readings import rollup
from tidemark.readings.log.closing import closed_before
from tidemark.readings.settling import changes, turn
from tidemark.readings.settling.merging import merge_runs
from tidemark.readings.settling.turn import settle, settle_all, store_held
from tidemark.readings.store.engines import STORES

from tests.readings.blocks import block_of
from tests.readings.log_by_hand import Key, Stored, append

Connection: TypeAlias = "asyncpg.Connection[Any]"
Readings: TypeAlias = Mapping[Key, Stored]

BEGIN = datetime(2024, 3, 25, tzinfo=UTC)
DAYS = 20
SERIES = (11, 12, 13)


class Connections:
    """Connections to a database whose line stands where the readings begin, with a sensor for each of the series."""

    def __init__(self, url: str, stack: AsyncExitStack) -> None:
        self._url, self._stack = url, stack

    async def one(self, settings: dict[str, str] = SESSION) -> Connection:
        """A connection that is closed at the end."""
        connection: Connection = await asyncpg.connect(self._url, server_settings=settings)
        self._stack.push_async_callback(connection.close)
        return connection


@asynccontextmanager
async def connections_to(url: str) -> AsyncIterator[Connections]:
    """Such connections, to an empty database."""
    async with AsyncExitStack() as stack:
        found = Connections(url, stack)
        connection = await found.one()
        await connection.execute("UPDATE rollup_line SET read_line = $1", BEGIN)
        made = await organizations.create(connection, {"name": "Test"})
        await connection.executemany(
            "INSERT INTO sensor (series_id, company_id, id, name) OVERRIDING SYSTEM VALUE VALUES ($1, $2, $3, $3)",
            [(series, made.organization["company_id"], f"s{series}") for series in (*SERIES, 99)],
        )
        yield found


async def write(connection: Connection, values: Mapping[Key, float]) -> None:
    """Append readings to the log, as a commit does."""
    await append(connection, {key: Stored(value) for key, value in values.items()})


async def store(connection: Connection, engine: str, readings: Readings) -> None:
    """Put readings into the store, as the settler does."""
    async with store_held(connection), connection.transaction(isolation="repeatable_read"):
        rows = ((*key, *astuple(readings[key])) for key in sorted(readings))
        await changes.put(connection, engine, block_of(rows))


async def empty_store(connection: Connection, engine: str) -> None:
    """Delete all stored readings behind the back of those who roll up: what is still counted came from roll-ups."""
    await connection.execute(f"DELETE FROM {'segment' if engine == 'postgres' else 'reading'}")


async def settle_everything(connection: Connection, engine: str) -> int:
    """Settle what has committed; return how many readings that were."""
    async with store_held(connection):
        return await settle_all(connection, engine)


async def settle_some(connection: Connection, engine: str, most: int) -> int:
    """Settle the oldest runs, of about this many readings at most."""
    usual, turn.TURN_READINGS = turn.TURN_READINGS, most
    try:
        async with store_held(connection):
            horizon = await closed_before(connection)
            settled = await settle(connection, engine, horizon)
            return 0 if settled is None else settled.readings
    finally:
        turn.TURN_READINGS = usual


async def roll_up(connection: Connection, engine: str, line: datetime) -> bool:
    """Move the line, whether or not all is settled."""
    async with store_held(connection):
        return await rollup.move_line(connection, engine, line)


async def maintain(connection: Connection, engine: str, rng: random.Random, done: asyncio.Event) -> None:
    """Do what the settler does, in any order, until `done` is set."""
    line = BEGIN
    while not done.is_set():
        chosen = rng.randrange(10)
        if chosen < 5:
            await settle_some(connection, engine, rng.choice((1, 50, 1000)))
        elif chosen < 7:
            async with store_held(connection):
                await merge_runs(connection, await closed_before(connection))
        elif chosen < 9:
            line = min(line + timedelta(hours=rng.randrange(30)), BEGIN + timedelta(days=DAYS))
            await roll_up(connection, engine, line)
        else:
            await tidy(connection, engine)


async def beside_the_settler(
    connections: Connections,
    engine: str,
    seed: int,
    *,
    writer: Callable[[Connection, random.Random], Awaitable[None]],
    writers: int,
    batches: int,
    check: Callable[[], Awaitable[None]],
    checks: int,
) -> None:
    """Check so many times, while writers write and the settler works in any order.

    Beside a check writers write so many times together, so that all there is stays few enough to recompute.
    """
    done = asyncio.Event()
    turns: asyncio.Queue[bool] = asyncio.Queue()

    async def writes(number: int) -> None:
        rng, connection = random.Random(seed + number), await connections.one()
        while await turns.get():
            await writer(connection, rng)

    async def reads() -> None:
        for _ in range(checks):
            for _ in range(batches):
                turns.put_nowait(True)
            await check()
        for _ in range(writers):
            turns.put_nowait(False)
        done.set()

    try:
        async with asyncio.TaskGroup() as group:
            for number in range(writers):
                group.create_task(writes(number))
            group.create_task(maintain(await connections.one(), engine, random.Random(seed), done))
            group.create_task(reads())
    finally:
        done.set()


async def tidy(connection: Connection, engine: str) -> None:
    """Merge small pieces, and absorb repairs where there are any."""
    async with store_held(connection):
        async with connection.transaction(isolation="repeatable_read"):
            await STORES[engine].merge_small(connection)
        if engine == "timescale":
            await connection.execute("UPDATE reading_hourly_repair SET repaired_at = now() - interval '1 day'")
        await rollup.absorb(connection, engine)


def random_instant(rng: random.Random) -> int:
    """Any second; often right at the border of an hour or a day."""
    at = microseconds(BEGIN) + rng.randrange(DAYS * 86400) * 1_000_000
    return rng.choice((at, at, at - at % HOUR, at - at % DAY, at - at % DAY - 1, at - at % HOUR + HOUR - 1))


def random_window(rng: random.Random) -> Window:
    """Any window, sometimes open or empty."""
    first, last = sorted((random_instant(rng), random_instant(rng)))
    return rng.choice((Window(first, last), Window(first, last), Window(first, first + 1), Window(), Window(first)))


def random_values(rng: random.Random) -> dict[Key, float]:
    """A batch: some of it dense in one hour, some of it far apart, with values that cancel out."""
    around = random_instant(rng)
    return {
        (
            rng.choice(SERIES),
            rng.choice((random_instant(rng), around + rng.randrange(3600) * 1_000_000)),
        ): rng.choice((rng.uniform(-50, 50), float(rng.randrange(100)), 1e12, -1e12))
        for _ in range(rng.randrange(1, 60))
    }
