"""The store of plain PostgreSQL holds exactly what was put into it, and the functions that read it find that."""

import random
import re
from collections.abc import AsyncIterator
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias

import asyncpg
import numpy as np
import pytest
from tidemark.base.time import DAY, HOUR, MINUTE, instant, microseconds
from tidemark.database.database import QUERY_SESSION
from tidemark.readings.columns import Block, merged
from tidemark.readings.store import segments
from tidemark.readings.store.segments import append, convert_some, merge_small, rewrite, take_out
from tidemark.readings.store.windows import Windows

from tests.readings.blocks import block_of, table_of

if TYPE_CHECKING:
    Connection: TypeAlias = "asyncpg.Connection[Any]"

Reading: TypeAlias = tuple[Any, ...]
"""The value and the optional columns."""
Store: TypeAlias = dict[tuple[int, int], Reading]
"""Readings by series and instant, in microseconds since 1970 UTC."""

SERIES = (1, 2, 3)
BEGIN = microseconds(instant(0).replace(year=2025, month=5, day=20))
"""Some days before a month ends."""
STEPS = 60


@pytest.fixture
async def connection(migrated_url: str, engine: str) -> AsyncIterator["Connection"]:
    if engine != "postgres":
        pytest.skip("only plain PostgreSQL has segments")
    opened = await asyncpg.connect(migrated_url, server_settings={"timezone": "UTC"})
    yield opened
    await opened.close()


def some_reading(rng: random.Random, detailed: bool) -> Reading:
    details = (rng.choice((None, 1.5)), rng.choice((None, -2.5)), None, rng.choice((None, '{"a":"é"}')))
    return (rng.choice((0.0, -0.0, 21.25, 1e150)), *(details if detailed else (None,) * 4))


def some_readings(rng: random.Random) -> Store:
    """Readings of a few series: regular or not, dense or far apart."""
    found: Store = {}
    for series in rng.sample(SERIES, rng.randint(1, 3)):
        start, detailed = BEGIN + rng.randrange(20 * DAY), rng.random() < 0.3
        step, count = rng.choice((1, MINUTE, HOUR)), rng.choice((1, 7, 30, 2100 if rng.random() < 0.2 else 60))
        jitter = rng.choice((1, step))
        found |= {(series, start + n * step + rng.randrange(jitter)): some_reading(rng, detailed) for n in range(count)}
    return found


async def insert_old(connection: "Connection", readings: Store) -> None:
    await connection.execute("SELECT make_partitions('unpacked_reading', false)")
    await connection.copy_records_to_table(
        "unpacked_reading", records=[(series, instant(at), *row) for (series, at), row in readings.items()]
    )


async def check_shape(connection: "Connection") -> None:
    """Segments are disjoint, none crosses a month, and nothing old lies within one."""
    assert not await connection.fetch("""
        SELECT * FROM (
            SELECT *, lead(first_at) OVER (PARTITION BY series_id ORDER BY first_at) AS next_at FROM segment
        ) AS s
        WHERE
            last_at >= next_at OR last_at < first_at OR readings > 1000 OR readings <> cardinality(value)
            OR month_of(first_at) <> month_of(last_at)
            OR (at IS NOT NULL AND (at[1] <> first_at OR at[readings] <> last_at))
            OR (at IS NULL AND first_at + (readings - 1) * step * interval '1 microsecond' <> last_at)
    """)
    assert not await connection.fetch("""
        SELECT FROM segment AS s INNER JOIN unpacked_reading AS u USING (series_id)
        WHERE u.ts BETWEEN s.first_at AND s.last_at
    """)


async def check_readers(connection: "Connection", rng: random.Random, store: Store) -> None:
    """Every function finds exactly what is stored in a random window."""
    start = BEGIN + rng.randrange(-DAY, 22 * DAY)
    finish = start + rng.choice((1, HOUR, DAY, 30 * DAY))
    series, most = rng.choice(SERIES), rng.choice((1, 5, 1500))
    inside = {key: row for key, row in store.items() if start <= key[1] < finish}
    window = (instant(start), instant(finish))
    rows = await connection.fetch("SELECT * FROM stored_values($1, $2, $3)", [1, 3], *window)
    values = [(one["series_id"], microseconds(one["ts"]), one["value"]) for one in rows]
    assert sorted(values) == sorted((*key, row[0]) for key, row in inside.items() if key[0] in (1, 3))
    own = sorted((at, *map(repr, row)) for (one, at), row in inside.items() if one == series)
    for function, arguments, expected in (
        ("stored_readings($1, $2, $3)", (), own),
        ("first_stored($1, $2, $3, $4)", (most,), own[:most]),
        ("last_stored($1, $2, $3, $4)", (most,), own[::-1][:most]),
    ):
        order = "ts DESC" if function.startswith("last") else "ts"
        rows = await connection.fetch(
            f"SELECT * FROM {function} ORDER BY {order} LIMIT {most if arguments else 'ALL'}",
            series,
            *window,
            *arguments,
        )
        assert [(microseconds(row[0]), *map(repr, list(row)[1:])) for row in rows] == expected


def block_with(store: Store) -> Block:
    return block_of((*key, *store[key]) for key in sorted(store))


def store_of(block: Block) -> Store:
    return {row[:2]: row[2:] for row in table_of(block)}


async def write(connection: "Connection", readings: Store) -> None:
    """What the settler does with readings that may be stored already."""
    block = block_with(readings)
    await rewrite(connection, Windows.around(block, 0), lambda stored: merged([stored, block]))


def without(start: int, finish: int, stored: Block) -> Block:
    return stored.take((stored.at < start) | (stored.at > finish))


@pytest.mark.parametrize("seed", range(4))
async def test_the_store_is_what_a_dict_would_be(connection: "Connection", seed: int) -> None:
    rng = random.Random(seed)
    store: Store = some_readings(rng) | some_readings(rng)
    await insert_old(connection, store)
    for _ in range(STEPS):
        transaction = connection.transaction(isolation="repeatable_read")
        await transaction.start()
        before = dict(store)
        step = rng.randrange(6)
        if step < 3:
            new = some_readings(rng) | some_readings(rng)
            await write(connection, new)
            store |= new
        elif step == 3:
            start, finish = sorted(BEGIN + rng.randrange(20 * DAY) for _ in range(2))
            window = Windows(np.array([2], np.int32), np.array([start]), np.array([finish]))
            await rewrite(connection, window, partial(without, start, finish))
            store = {key: row for key, row in store.items() if key[0] != 2 or not start <= key[1] <= finish}
        elif step == 4:
            await connection.execute("UPDATE segment_merge SET due_at = '-infinity'")
            await merge_small(connection)
        elif rng.random() < 0.2:
            await convert_some(connection)
        if rng.random() < 0.2:
            await transaction.rollback()
            store = before
        else:
            await transaction.commit()
        await check_shape(connection)
        await check_readers(connection, rng, store)
    everywhere = Windows(np.array(SERIES, np.int32), np.zeros(3, np.int64), np.full(3, BEGIN + 100 * DAY))
    rest = await take_out(connection, everywhere)
    assert store_of(rest) == store
    assert not await connection.fetch("SELECT FROM segment")
    assert not await connection.fetch("SELECT FROM unpacked_reading")


async def test_old_rows_move_in_while_an_older_snapshot_reads_them(
    connection: "Connection", migrated_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(segments, "CONVERTED_AT_ONCE", 100)
    rng = random.Random(1)
    old = some_readings(rng) | some_readings(rng) | some_readings(rng)
    await insert_old(connection, old)
    new = some_readings(rng)
    async with connection.transaction(isolation="repeatable_read"):
        await write(connection, new)
    reader = await asyncpg.connect(migrated_url, server_settings=QUERY_SESSION)
    reading = reader.transaction()
    await reading.start()
    await reader.fetchval("SELECT txid_current_if_assigned()")  # takes the snapshot, but no lock
    more = True
    while more:
        async with connection.transaction(isolation="repeatable_read"):
            more = await convert_some(connection)
        await check_shape(connection)
        await check_readers(connection, rng, old | new)
    assert not await connection.fetch("SELECT FROM unpacked_reading")
    await connection.execute("VACUUM unpacked_reading")
    await check_readers(reader, rng, old | new)
    await reading.rollback()
    await reader.close()


async def test_small_segments_become_one_of_an_hour_then_of_a_day_then_of_a_month(connection: "Connection") -> None:
    async def shape() -> list[tuple[int, int]]:
        while await merge_small(connection):
            pass
        return [tuple(row) for row in await connection.fetch("SELECT count(*), sum(readings) FROM segment")]

    now = microseconds(await connection.fetchval("SELECT now()"))
    month = microseconds(await connection.fetchval("SELECT month_of(now() - interval '40 days')"))
    store: Store = {}
    for number in range(48):
        new = {(1, month + number * HOUR // 2 + n * MINUTE): (float(n), *(None,) * 4) for n in range(7)}
        async with connection.transaction(isolation="repeatable_read"):
            await append(connection, block_with(new))
        store |= new
    assert month < now
    assert await shape() == [(48, 48 * 7)]
    # Such an old month is merged as a whole, and not before more had time to come.
    due = "SELECT start = month_of(start), due_at > now() FROM segment_merge"
    assert [tuple(row) for row in await connection.fetch(due)] == [(True, True)]
    await connection.execute("DELETE FROM segment_merge")
    await connection.execute(
        "INSERT INTO segment_merge SELECT h, h + interval '1 hour', now() FROM generate_series(0, 23) AS n, "
        "LATERAL (SELECT instant_of($1::bigint) + n * interval '1 hour' AS h) AS s",
        month,
    )
    assert await connection.fetchval("SELECT count(*) FROM segment_merge") == 24
    assert await merge_small(connection)
    assert await connection.fetchval("SELECT count(*) FROM segment") == 47
    assert await shape() == [(1, 48 * 7)]
    assert not await connection.fetch("SELECT FROM segment_merge")
    await check_shape(connection)
    assert store_of(await take_out(connection, Windows.around(block_with(store), 0))) == store


def unpacked_in(plan: str) -> float:
    """How many readings were unpacked: what each loop returned on average, times the loops."""
    found = re.findall(r"ProjectSet \(actual time=\S+ rows=(\S+) loops=(\d+)", plan)
    return sum(float(rows) * int(loops) for rows, loops in found)


async def test_readers_look_at_no_more_than_they_need(connection: "Connection") -> None:
    """The planner looks into the functions, leaves other months out, and unpacks no segments beyond a limit."""
    store: Store = {(1, BEGIN + n * MINUTE): (float(n), *(None,) * 4) for n in range(10_000)}
    async with connection.transaction(isolation="repeatable_read"):
        await append(connection, block_with(store))
    assert await connection.fetchval("SELECT count(*) FROM segment") == 10

    async def plan(query: str, finish: int) -> str:
        rows = await connection.fetch(f"EXPLAIN (ANALYZE, COSTS OFF) {query}", instant(BEGIN), instant(finish))
        return "\n".join(row[0] for row in rows)

    for call in ("stored_values('{1}', $1, $2)", "stored_readings(1, $1, $2)", "first_stored(1, $1, $2, 10)"):
        shown = await plan(f"SELECT * FROM {call}", BEGIN + DAY)
        assert "Function Scan" not in shown
        assert set(re.findall(r" on segment_(\w+?)(?:_pkey| )", shown)) == {"2025_05"}
    for call in ("first_stored(1, $1, $2, 10)", "last_stored(1, $1, $2, 10)"):
        shown = await plan(f"SELECT * FROM {call}", BEGIN + 30 * DAY)
        assert unpacked_in(shown) == 1000
    shown = await plan("SELECT * FROM stored_values('{1}', $1, $2)", BEGIN + HOUR)
    assert 60 <= unpacked_in(shown) <= 60 + 2  # of a thousand
