"""A database of the released version becomes the new shape in the background, and is exact throughout."""

import asyncio
import os
import random
import signal
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack
from dataclasses import astuple, dataclass, field, replace
from datetime import timedelta

import asyncpg
import pytest
from tidemark.base.time import DAY, HOUR, Window, instant, microseconds
from tidemark.database.database import QUERY_SESSION, SESSION
from tidemark.database.migration import migrate
from tidemark.readings.settling import settler
from tidemark.readings.settling.deletion import delete_settled
from tidemark.readings.settling.settler import Settler
from tidemark.readings.settling.turn import store_held
from tidemark.readings.store import columnstore, segments
from tidemark.readings.store.engines import STORES

from tests.conftest import MakeTenant, StartService
from tests.database import released
from tests.readings.log_by_hand import Key, Stored, append, everything
from tests.readings.store_and_log import BEGIN, SERIES, Connection, Connections, random_instant, settle_some
from tests.readings.test_crashes import World, attempt
from tests.readings.test_store_and_log import check, random_readings
from tests.server.test_takeover import processes_of

LINE = BEGIN + timedelta(days=12, hours=5)
ROLLED_UP = LINE + timedelta(hours=4)
"""How far roll-ups reach that were being computed when the released version ended. Nobody trusts the last."""
DELETED = 14
"""A series of which readings were written while its sensor was being deleted."""
AT_ONCE = 150
"""How many readings move at once: less than a chunk, a partition or a series has."""
SECONDS = 20
"""How long anything may take that a service does; the machine may be busy."""

WRITE = "SELECT write_readings($1, $2, $3, $4, $5, $6, $7)"
CATALOG = """
    INSERT INTO organization (organization_id, name, api_key_hash) VALUES ('old', 'old', sha256('key'));
    INSERT INTO sensor (series_id, company_id, id, name) OVERRIDING SYSTEM VALUE
    SELECT series, 1, 's' || series, 's' || series FROM unnest('{11, 12, 13, 14, 99}'::integer []) AS series;
"""
HOURS = """
    INSERT INTO reading_hourly{suffix} (series_id, bucket, sample_count, value_sum, value_min, value_max)
    SELECT series_id, date_bin('1 hour', ts, 'epoch'), count(*), sum(value), min(value), max(value)
    FROM reading WHERE ts < $1 {condition} GROUP BY 1, 2
"""
DAYS = """
    INSERT INTO reading_daily (series_id, bucket, sample_count, value_sum, value_min, value_max)
    SELECT series_id, date_bin('1 day', bucket, 'epoch'),
        sum(sample_count), sum(value_sum), min(value_min), max(value_max)
    FROM reading_hourly WHERE bucket < date_bin('1 day', $1, 'epoch') GROUP BY 1, 2
"""
REFRESH = "CALL refresh_continuous_aggregate('reading_{width}_aggregate', '2020-01-01', '{finish}')"
BYTES = {
    "timescale": "SELECT sum(pg_relation_size(chunk)) FROM reading_chunks('-infinity', 'infinity')",
    "postgres": "SELECT coalesce(sum(pg_total_relation_size(inhrelid)), 0) FROM pg_inherits"
    " WHERE inhparent = 'unpacked_reading'::regclass",
}
"""How much space the old shape takes."""
INDEXED = """
    SELECT EXISTS (
        SELECT FROM reading_chunks('-infinity', 'infinity')
        INNER JOIN pg_index ON indrelid = chunk WHERE pg_relation_size(indexrelid) > 3 * 8192
    )
"""
"""Whether a chunk has an index of more than the pages that an empty one has."""
WAITS = "SELECT pid FROM pg_locks WHERE locktype = 'transactionid' AND NOT granted"


@dataclass
class Moving:
    """A database that was filled by the released version, and what has to be in it."""

    url: str
    engine: str
    connections: Connections
    rng: random.Random
    known: dict[Key, Stored] = field(default_factory=dict)

    async def agree(self, reader: Connection, questions: int = 1) -> None:
        """All there is is what has been written, and whatever is asked is answered from that."""
        async with reader.transaction():
            assert exact(await everything(reader)) == exact(self.known)
        for _ in range(questions):
            await check(reader, self.rng)

    async def change(self, writer: Connection) -> None:
        """Overwrite, backfill or delete."""
        if self.rng.random() < 0.2:
            start = random_instant(self.rng)
            window = Window(start, start + self.rng.choice((HOUR, DAY)))
            series = self.rng.choice(SERIES)
            await delete_settled(writer, self.engine, series, window)
            self.known = without(self.known, series, window)
        else:
            readings = random_readings(self.rng, self.known)
            await append(writer, readings)
            self.known |= readings

    async def is_moved(self, connection: Connection) -> bool:
        """Whether nothing is left of the old shape."""
        if self.engine == "timescale" and await connection.fetchval(INDEXED):
            return False
        return not await connection.fetchval(BYTES[self.engine])


def exact(readings: Mapping[Key, Stored]) -> dict[Key, str]:
    """What tells 0 from −0."""
    return {key: repr(stored) for key, stored in readings.items()}


def without(readings: Mapping[Key, Stored], series: int, window: Window) -> dict[Key, Stored]:
    return {
        (one, at): stored
        for (one, at), stored in readings.items()
        if one != series or not window.start <= at < window.finish
    }


async def write(connection: Connection, readings: Mapping[Key, Stored]) -> None:
    """Store readings as the released version did."""
    keys = sorted(readings)
    columns = zip(*(astuple(readings[key]) for key in keys), strict=True)
    await connection.execute(WRITE, [series for series, _ in keys], [at for _, at in keys], *map(list, columns))


async def roll_up(connection: Connection, engine: str) -> None:
    """Roll up as it did, a little beyond the line."""
    if engine == "postgres":
        await connection.execute(HOURS.format(suffix="", condition=""), ROLLED_UP)
        await connection.execute(DAYS, LINE)
    else:
        await connection.execute(REFRESH.format(width="hourly", finish=ROLLED_UP))
        await connection.execute(REFRESH.format(width="daily", finish=LINE.date()))
    await connection.execute("UPDATE rollup_line SET mark_line = $1, read_line = $2", ROLLED_UP, LINE)


async def repair(connection: Connection, engine: str, day: int) -> None:
    """Change the hours of a day, and repair them, as it did with late readings."""
    await write(connection, {(SERIES[0], day + hour * HOUR): Stored(1e6) for hour in range(24)})
    if engine == "timescale":
        condition = f"AND series_id = {SERIES[0]} AND ts >= '{instant(day)}' AND ts < '{instant(day + DAY)}'"
        await connection.execute(HOURS.format(suffix="_repair", condition=condition), LINE)
        await connection.execute("DELETE FROM late_mark")


async def fill(connection: Connection, engine: str, rng: random.Random) -> dict[Key, Stored]:
    """Fill an empty database as the released version left one, and return its readings."""
    await released.make_schema(connection, engine)
    await connection.execute(CATALOG)
    await connection.execute("UPDATE rollup_line SET mark_line = $1, read_line = $1", BEGIN - timedelta(weeks=9))
    known: dict[Key, Stored] = {}

    async def write_some(batches: int) -> None:
        for _ in range(batches):
            readings = random_readings(rng, known)
            await write(connection, readings)
            known.update(readings)

    await write_some(40)
    at = microseconds(BEGIN)
    regular = {(series, at + n * 180_000_000): Stored(-0.0 if n % 7 else 0.0) for series in SERIES for n in range(400)}
    regular |= {(DELETED, at + n * HOUR): Stored(3.0) for n in range(100)}
    await write(connection, regular)
    known |= regular
    await connection.execute("DELETE FROM late_mark")
    await roll_up(connection, engine)
    day = at + 6 * DAY
    await repair(connection, engine, day)
    known |= {(SERIES[0], day + hour * HOUR): Stored(1e6) for hour in range(24)}
    await write_some(20)  # much of it is late, and is only marked
    window = Window(at + DAY // 2, at + DAY)
    await connection.execute(
        "SELECT delete_readings($1, $2, $3)", SERIES[1], instant(window.start), BEGIN + timedelta(1)
    )
    await connection.execute("DELETE FROM sensor WHERE series_id = $1", DELETED)
    assert await connection.fetchval("SELECT count(*) FROM late_mark")
    gone = without(known, SERIES[1], window)
    return {key: stored for key, stored in gone.items() if key[0] != DELETED}


@pytest.fixture
async def moving(database_url: str, engine: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Moving]:
    """A filled one that has just been migrated."""
    monkeypatch.setattr(columnstore, "CONVERTED", AT_ONCE)
    monkeypatch.setattr(segments, "CONVERTED_AT_ONCE", AT_ONCE)
    monkeypatch.setattr(settler, "VACUUM_EVERY", 2)
    seed = random.randrange(2**32)
    print("seed", seed)
    async with AsyncExitStack() as stack:
        found = Moving(database_url, engine, Connections(database_url, stack), random.Random(seed))
        connection = await found.connections.one(SESSION)
        found.known = await fill(connection, engine, found.rng)
        await migrate(connection)
        yield found


async def test_readings_move_while_they_are_read_and_written(moving: Moving) -> None:
    one = moving.connections.one
    job, writer, reader, older = await one(), await one(), await one(QUERY_SESSION), await one(QUERY_SESSION)
    await moving.agree(reader, 8)
    maintenance, now, steps = Settler(job, moving.engine, 1_000_000), LINE, 0
    async with older.transaction(isolation="repeatable_read"):
        before = exact(await everything(older))
        more = True
        while more:
            now += moving.rng.choice((timedelta(0), timedelta(0), timedelta(hours=9)))
            more, _ = await asyncio.gather(maintenance.step(now), moving.change(writer))
            if moving.rng.random() < 0.2:
                await settle_some(writer, moving.engine, 100)
            await moving.agree(reader)
            assert exact(await everything(older)) == before
            steps += 1
        assert steps > 6
        assert not await convert_some(moving, writer)
        assert not await moving.is_moved(reader)
    # The space of what an older snapshot could still see comes back when the next hour has closed.
    now += timedelta(hours=1)
    while await maintenance.step(now):
        pass
    assert await moving.is_moved(reader)
    assert not await maintenance.step(now)
    await moving.agree(reader, 4)


async def test_whoever_moves_them_may_end_at_any_statement(moving: Moving) -> None:
    writer, reader = await moving.connections.one(), await moving.connections.one(QUERY_SESSION)
    world = World(moving.url, moving.engine, moving.rng, writer, reader)
    crash_at, crashed = 0, True

    async def step(connection: Connection) -> None:
        await Settler(connection, moving.engine, 1_000_000).step(LINE)

    while crashed:
        crash_at += 1
        crashed = await attempt(world, step, crash_at)
        async with store_held(writer):  # which the server lets go once it is done with the last statement
            await moving.agree(reader)
    assert crash_at > 10
    # The last rows have moved, but nobody has come to give back their space.
    while await convert_some(moving, writer):
        pass
    assert not await moving.is_moved(reader)
    maintenance = Settler(writer, moving.engine, 1_000_000)
    while await maintenance.step(LINE):
        pass
    assert await moving.is_moved(reader)
    await moving.agree(reader)


async def test_a_deletion_finds_readings_of_both_shapes(moving: Moving) -> None:
    writer, reader = await moving.connections.one(), await moving.connections.one(QUERY_SESSION)
    series = SERIES[2]
    at = microseconds(BEGIN) + 5 * HOUR  # among rows that have not moved, and the hours of which now do
    await append(writer, {(series, at): Stored(5.0)})
    assert await settle_some(writer, moving.engine, 100)
    moving.known[series, at] = Stored(5.0)
    await moving.agree(reader)
    known = sum(one == series for one, _ in moving.known)
    assert await delete_settled(writer, moving.engine, series, Window()) == known
    moving.known = without(moving.known, series, Window())
    await moving.agree(reader, 4)


async def convert_some(moving: Moving, connection: Connection) -> bool:
    async with store_held(connection), connection.transaction(isolation="repeatable_read"):
        return await STORES[moving.engine].convert_some(connection)


async def test_an_empty_database_of_the_released_version_has_nothing_to_move(database_url: str, engine: str) -> None:
    connection = await asyncpg.connect(database_url, server_settings=SESSION)
    await released.make_schema(connection, engine)
    await migrate(connection)
    assert not await connection.fetchval(BYTES[engine])
    line = await connection.fetchval("SELECT read_line FROM rollup_line")
    assert not await Settler(connection, engine, 1_000_000).step(line)
    await connection.close()


async def test_a_killed_service_goes_on_where_it_was(
    database_url: str, engine: str, start_service: StartService, make_tenant: MakeTenant
) -> None:
    async with AsyncExitStack() as stack:
        moving = Moving(database_url, engine, Connections(database_url, stack), random.Random(1))
        connection, reader = await moving.connections.one(), await moving.connections.one(QUERY_SESSION)
        moving.known = await fill(connection, engine, moving.rng)
        async with store_held(connection):
            service = start_service(database_url)
            row = connection.transaction()
            await row.start()
            table = "reading" if engine == "timescale" else "unpacked_reading"
            await connection.execute(f"SELECT FROM {table} WHERE series_id = {SERIES[0]} FOR UPDATE")
        # The settler now waits in the midst of moving, for the rows that are locked here.
        await until(reader, WAITS)
        tenant = replace(await make_tenant(service, database_url), organization_id="old", api_key="key")
        assert (await tenant.upload("s12", instant(microseconds(BEGIN)).isoformat(), 7)).status == 201
        moving.known[12, microseconds(BEGIN)] = Stored(7.0)
        await moving.agree(reader)
        for pid in (*processes_of(service), service.process.pid):
            os.kill(pid, signal.SIGKILL)
        await row.rollback()
        await moving.agree(reader)

        again = start_service(database_url)
        deadline = time.monotonic() + SECONDS
        while not await moving.is_moved(reader):
            assert time.monotonic() < deadline
            await asyncio.sleep(0.05)
        await moving.agree(reader)
        assert again.stop() == 0


async def until(connection: Connection, question: str) -> None:
    """Wait until a question has an answer."""
    deadline = time.monotonic() + SECONDS
    while not await connection.fetchval(question):
        assert time.monotonic() < deadline, question
        await asyncio.sleep(0.05)
