"""Whatever is asked of readings, the answer is that of store and log together, where the last write wins."""

import random
from collections.abc import AsyncIterator, Mapping
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from tidemark.base.time import instant, microseconds
from tidemark.database.database import QUERY_SESSION
from tidemark.database.statements import statements
from tidemark.readings import series as query
from tidemark.readings.statistics import Statistics, mean_of, statistics

from tests.readings.log_by_hand import Key, Stored, append, everything
from tests.readings.store_and_log import (
    BEGIN,
    DAYS,
    SERIES,
    Connection,
    Connections,
    beside_the_settler,
    connections_to,
    random_instant,
    random_window,
    roll_up,
    store,
)
from tests.readings.test_series import check as check_series

CHECKS = 30
WRITERS = 2
BATCHES = 6
Readings = dict[Key, Stored]


@pytest.fixture
async def connections(migrated_url: str) -> AsyncIterator[Connections]:
    async with connections_to(migrated_url) as found:
        yield found


def random_readings(rng: random.Random, known: Mapping[Key, Stored]) -> Readings:
    """A batch: some of it dense in one hour, some far apart, some that overwrites, some with details."""
    around, detailed = random_instant(rng), rng.random() < 0.3
    keys = {
        (rng.choice(SERIES), rng.choice((random_instant(rng), around + rng.randrange(3600) * 1_000_000)))
        for _ in range(rng.randrange(1, 60))
    }
    keys |= set(rng.sample(sorted(known), min(len(known), rng.randrange(20))))
    if known and rng.random() < 0.3:
        keys.add(max(known))  # the newest of a series
    return {key: random_reading(rng, detailed) for key in keys}


def random_reading(rng: random.Random, detailed: bool) -> Stored:
    value = rng.choice((rng.uniform(-50, 50), float(rng.randrange(100)), 1e12, -1e12))
    if not detailed:
        return Stored(value)
    return Stored(
        value,
        rng.choice((None, rng.uniform(-90, 90))),
        rng.choice((None, rng.uniform(-180, 180))),
        rng.choice((None, rng.uniform(0, 9))),
        rng.choice((None, '{"a":1}', "[]")),
    )


async def check(connection: Connection, rng: random.Random) -> None:
    """One random question of each kind in one snapshot."""
    await check_series(connection, rng)
    async with connection.transaction():
        known = await everything(connection)
        await check_statistics(connection, rng, known)
        await check_records(connection, rng, known)
        await check_latest(connection, known)


async def check_statistics(connection: Connection, rng: random.Random, known: Mapping[Key, Stored]) -> None:
    window = random_window(rng)
    line = microseconds(await connection.fetchval("SELECT read_line FROM rollup_line"))
    found, _ = await statistics(connection, SERIES, window, rng.choice((0, line, line)))
    for series in SERIES:
        values = [
            stored.value for (one, at), stored in known.items() if one == series and window.start <= at < window.finish
        ]
        if not values:
            assert found[series] == Statistics(0, None, None, None)
            continue
        assert (found[series].count, found[series].minimum, found[series].maximum) == (
            len(values),
            min(values),
            max(values),
        ), (series, window)
        size = sum(map(abs, values)) / len(values)
        mean = mean_of(sum(values), len(values), min(values), max(values))
        assert found[series].mean == pytest.approx(mean, rel=0, abs=1e-9 * size)


async def check_records(connection: Connection, rng: random.Random, known: Mapping[Key, Stored]) -> None:
    """The first readings of each series, whole, in each of the four orders."""
    series_ids = rng.choice(([11, 12, 13], [13, 99, 11], [12]))
    window, most = random_window(rng), rng.choice((1, 5, 100, 2**62))
    sql, asked = statements(), {"series_ids": series_ids, "max_rows": most}
    bounds = {"start": instant(window.start), "finish": instant(window.finish)}
    for order, descending, rows in (
        ("timestamp", False, await sql.readings_by_timestamp_asc.rows(connection, **asked, **bounds)),
        ("timestamp", True, await sql.readings_by_timestamp_desc.rows(connection, **asked, **bounds)),
        ("value", False, await sql.readings_by_value_asc.rows(connection, **asked, **bounds)),
        ("value", True, await sql.readings_by_value_desc.rows(connection, **asked, **bounds)),
    ):
        expected: list[Any] = []
        for series in series_ids:
            inside = [
                (at, stored)
                for (one, at), stored in known.items()
                if one == series and window.start <= at < window.finish
            ]
            if order == "value":
                inside.sort(key=lambda pair: (pair[1].value, pair[0]), reverse=descending)
            else:
                inside.sort(key=lambda pair: pair[0], reverse=descending)
            expected += [(series, at, stored) for at, stored in inside[:most]]
        assert [(row["series_id"], microseconds(row["ts"]), Stored(*list(row)[2:])) for row in rows] == expected


async def check_latest(connection: Connection, known: Mapping[Key, Stored]) -> None:
    company_id = await connection.fetchval("SELECT company_id FROM sensor LIMIT 1")
    rows = await statements().latest_of_sensors.rows(
        connection, company_id=company_id, ids=None, asset_id=None, seen=None, max_rows=10, skip=0
    )
    assert [row["id"] for row in rows] == ["s11", "s12", "s13", "s99"]
    for row in rows:
        instants = [at for series, at in known if f"s{series}" == row["id"]]
        if not instants:
            assert (row["ts"], row["value"]) == (None, None)
        else:
            last = known[int(row["id"][1:]), max(instants)]
            assert (microseconds(row["ts"]), row["value"]) == (max(instants), last.value)


async def test_every_answer_is_that_of_store_and_log(
    engine: str, connections: Connections, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Runs come with ids in any order, cut anywhere, of instants before and after the line, many times over."""
    monkeypatch.setattr(query, "SLICE_READINGS", 4)
    monkeypatch.setattr(query, "SLICE_BUCKETS", 150)
    seed = random.randrange(2**32)
    print("seed", seed)
    rng = random.Random(seed)
    writer, reader = await connections.one(), await connections.one(QUERY_SESSION)
    stored: Readings = {}
    for number in range(8):
        batch = random_readings(rng, stored)
        stored |= batch
        await store(writer, engine, batch)
        if number == 5:
            await roll_up(writer, engine, BEGIN + timedelta(days=rng.randrange(DAYS)))
    ids = list(range(100, 100 + 2 * CHECKS))
    rng.shuffle(ids)
    written = dict(stored)
    for number in range(CHECKS):
        for _ in range(rng.randrange(3)):
            batch = random_readings(rng, written)
            written |= batch
            await append(writer, batch, xid=ids.pop(), size=rng.choice((1, 3, 10, 1000)))
        if number == CHECKS // 2:
            await roll_up(writer, engine, BEGIN + timedelta(days=DAYS))
        await check(reader, rng)


async def test_under_writers_and_settles(
    engine: str, connections: Connections, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(query, "SLICE_READINGS", 4)
    monkeypatch.setattr(query, "SLICE_BUCKETS", 150)
    seed = random.randrange(2**32)
    print("seed", seed)
    chance, reader = random.Random(seed - 1), await connections.one(QUERY_SESSION)
    written: Readings = {}

    async def change(connection: Connection, rng: random.Random) -> None:
        batch = random_readings(rng, written)
        written.update(batch)
        await append(connection, batch, size=rng.choice((1, 7, 1000)))

    await beside_the_settler(
        connections,
        engine,
        seed,
        writer=change,
        writers=WRITERS,
        batches=BATCHES,
        check=partial(check, reader, chance),
        checks=CHECKS,
    )


async def test_the_latest_is_the_newest_instant_and_then_the_last_write(engine: str, connections: Connections) -> None:
    writer, reader = await connections.one(), await connections.one(QUERY_SESSION)
    at = microseconds(BEGIN)

    async def shown() -> float:
        async with reader.transaction():
            await check_latest(reader, await everything(reader))
            value: float = await reader.fetchval("SELECT value FROM newest_unsettled(ARRAY[11])")
        return value

    await store(writer, engine, {(11, at): Stored(1.0)})
    await append(writer, {(11, at): Stored(2.0)}, xid=200)
    assert await shown() == 2.0, "what is unsettled wins over what is stored"
    await append(writer, {(11, at): Stored(3.0)}, xid=100)
    assert await shown() == 2.0, "the greater id wins, whichever came first"
    await append(writer, {(11, at - 1): Stored(4.0)}, xid=300)
    assert await shown() == 2.0, "a later write of an older instant is not the latest reading"
    await store(writer, engine, {(11, at + 1): Stored(5.0)})
    assert await shown() == 2.0
