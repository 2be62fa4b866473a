"""The columnstore holds exactly what was appended and not taken out, in batches, whatever shape the readings had."""

import random
from collections.abc import AsyncIterator, Iterable
from datetime import UTC, datetime, timedelta
from typing import Any, TypeAlias

import asyncpg
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tidemark.database.engine import EngineError
from tidemark.database.migration import migrate
from tidemark.readings.columns import Block, merged
from tidemark.readings.store import columnstore
from tidemark.readings.store.columnstore import (
    StoreError,
    append,
    convert_some,
    merge_small,
    rewrite,
    take_out,
)
from tidemark.readings.store.conversion import finish_conversion
from tidemark.readings.store.windows import Windows

from tests.database import released
from tests.readings.blocks import block_of

Connection: TypeAlias = "asyncpg.Connection[Any]"
Row: TypeAlias = tuple[Any, ...]
MONDAY = 1_699_833_600_000_000
SECOND, HOUR, WEEK = 1_000_000, 3_600_000_000, 7 * 86_400_000_000
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
CHUNKS = "SELECT chunk, batches FROM reading_chunks('-infinity', 'infinity')"


@pytest.fixture(autouse=True)
def only_timescale(engine: str) -> None:
    """The other engine has another store."""
    if engine != "timescale":
        pytest.skip("only TimescaleDB has a columnstore")


@pytest.fixture
async def settler(migrated_url: str) -> AsyncIterator[Connection]:
    """The session that changes the store."""
    connection = await asyncpg.connect(migrated_url, server_settings={"TimeZone": "UTC"})
    yield connection
    await connection.close()


@pytest.fixture
async def reader(migrated_url: str) -> AsyncIterator[Connection]:
    """Another session."""
    connection = await asyncpg.connect(migrated_url, server_settings={"TimeZone": "UTC"})
    yield connection
    await connection.close()


def readings(series: Iterable[int], count: int, *, start: int = MONDAY, step: int = SECOND) -> Block:
    """So many readings of each series."""
    ids = np.array(list(series), dtype=np.int32)
    at = start + np.arange(count, dtype=np.int64) * step
    return Block(
        series_id=np.repeat(ids, count), at=np.tile(at, len(ids)), value=np.arange(len(ids) * count, dtype=np.float64)
    )


def rows_of(block: Block) -> list[Row]:
    """Readings as rows of (series, instant, value, latitude, metadata)."""
    absent = [None] * len(block)
    latitude = [None if each != each else each for each in block.optional.get("latitude", np.array([])).tolist()]
    metadata = block.optional["metadata"].tolist() if "metadata" in block.optional else absent
    columns = (block.series_id.tolist(), block.at.tolist(), block.value.tolist(), latitude or absent, metadata)
    return list(zip(*columns, strict=True))


async def stored(connection: Connection, order: str = "series_id, ts") -> list[Row]:
    """What a reader sees, in the same form."""
    found = await connection.fetch(
        f"SELECT series_id, microseconds_of(ts), value, latitude, metadata FROM reading ORDER BY {order}"
    )
    return [tuple(row) for row in found]


async def rows_outside_batches(connection: Connection) -> int:
    """How many readings are rows of a chunk."""
    chunks = [row["chunk"] for row in await connection.fetch(CHUNKS)]
    return sum([await connection.fetchval(f"SELECT count(*) FROM ONLY {chunk}") for chunk in chunks])


async def batches(connection: Connection) -> int:
    """How many batches there are."""
    tables = [row["batches"] for row in await connection.fetch(CHUNKS) if row["batches"]]
    return sum([await connection.fetchval(f"SELECT count(*) FROM {table}") for table in tables])


async def settle(connection: Connection, block: Block) -> None:
    """Write readings over those that are stored, as the settler does."""
    async with connection.transaction(isolation="repeatable_read"):
        await rewrite(connection, Windows.around(block, 0), lambda stored: merged([stored, block]))


def windows(series_ids: list[int], starts: list[int], finishes: list[int]) -> Windows:
    return Windows(np.array(series_ids, np.int32), np.array(starts), np.array(finishes))


async def test_readings_are_stored_in_batches_in_every_chunk(settler: Connection) -> None:
    block = Block.concat([readings([1, 2], 1500), readings([1, 2], 10, start=MONDAY + 5 * WEEK)])
    block = merged([block])
    await settle(settler, block)
    assert await stored(settler) == rows_of(block)
    assert await rows_outside_batches(settler) == 0
    assert await batches(settler) == 6


async def test_columns_that_only_some_readings_have_keep_their_place(settler: Connection) -> None:
    block = readings([1], 40)
    latitude = np.where(np.arange(40) % 3 == 0, 1.5, np.nan)
    metadata = np.array([None if each % 4 else f'"ü{each}"' for each in range(40)], dtype=object)
    block.optional = {"latitude": latitude, "metadata": metadata}
    await settle(settler, block)
    assert await stored(settler) == rows_of(block)
    assert await batches(settler) == 1
    async with settler.transaction(isolation="repeatable_read"):
        assert rows_of(await take_out(settler, Windows.of(1, MONDAY, MONDAY))) == rows_of(block)


async def test_only_batches_that_overlap_the_stretch_are_taken_out(settler: Connection) -> None:
    await settle(settler, readings([1, 2, 3], 3000))
    async with settler.transaction(isolation="repeatable_read"):
        instant = MONDAY + 1500 * SECOND
        out = await take_out(settler, windows([1, 3, 9], [instant] * 3, [instant, instant, instant + WEEK]))
        middle = [row for row in rows_of(readings([1, 2, 3], 3000)) if 1000 <= (row[1] - MONDAY) / SECOND < 2000]
        assert rows_of(out) == [row for row in middle if row[0] in (1, 3)]
    assert await batches(settler) == 7
    assert await rows_outside_batches(settler) == 0


async def test_readings_on_both_sides_of_a_batch_never_share_one(settler: Connection) -> None:
    """Also where a database still has chunks of a week, and COPY turns from one to another and back."""
    await settler.execute("SELECT set_chunk_time_interval('reading', INTERVAL '7 days')")
    start = (MONDAY // (4 * WEEK) + 1) * 4 * WEEK
    stored_before = readings([1], 10, start=start + 100 * SECOND)
    await settle(settler, stored_before)
    around = [readings([1], 1, start=start), readings([1], 1, start=start + 5 * HOUR)]
    block = merged([*around, readings([2], 1, start=start + WEEK)])
    await settle(settler, block)
    assert await stored(settler) == rows_of(merged([stored_before, block]))
    assert await batches(settler) == 4


async def test_appending_across_a_stored_batch_is_refused(settler: Connection) -> None:
    await settle(settler, readings([1], 10, start=MONDAY + SECOND))
    across = readings([1], 2, start=MONDAY, step=20 * SECOND)
    with pytest.raises(StoreError, match="2 readings were stored hold 12"):
        async with settler.transaction(isolation="repeatable_read"):
            await append(settler, across)
    assert await stored(settler) == rows_of(readings([1], 10, start=MONDAY + SECOND))


async def test_readings_stored_outside_batches_are_refused(settler: Connection) -> None:
    await settler.execute("CREATE UNIQUE INDEX ON reading (series_id, ts)")
    with pytest.raises(StoreError, match="3 readings were stored hold 0"):
        async with settler.transaction(isolation="repeatable_read"):
            await append(settler, readings([1], 3))


cells = st.tuples(st.integers(1, 3), st.integers(0, 30), st.floats(-9, 9), st.none() | st.just(2.0))
steps = st.lists(
    st.tuples(st.sampled_from(["write", "delete", "crash"]), st.lists(cells, min_size=1, max_size=12)), max_size=8
)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(todo=steps)
async def test_any_writes_and_deletes_leave_what_a_dict_would_hold(
    settler: Connection, reader: Connection, todo: list[tuple[str, list[Any]]]
) -> None:
    await settler.execute("TRUNCATE reading")
    held: dict[tuple[int, int], Row] = {}
    for kind, table in todo:
        # Half a day apart, so that they lie in several chunks.
        spread = [(series, MONDAY + at * 12 * HOUR, value, latitude) for series, at, value, latitude in table]
        block = merged([block_of([(*row, None, None, None) for row in spread])])
        async with reader.transaction(isolation="repeatable_read"):
            before = await stored(reader)
            if kind == "write":
                await settle(settler, block)
                held |= {(row[0], row[1]): row for row in rows_of(block)}
            elif kind == "delete":
                await delete(settler, block)
                held = {key: row for key, row in held.items() if key not in {r[:2] for r in rows_of(block)}}
            else:
                change = settler.transaction(isolation="repeatable_read")
                await change.start()
                await take_out(settler, windows([1, 2, 3], [0] * 3, [MONDAY + 99 * WEEK] * 3))
                await change.rollback()
            assert await stored(reader) == before
        assert await stored(settler) == [held[key] for key in sorted(held)]
        assert await rows_outside_batches(settler) == 0


async def delete(connection: Connection, block: Block) -> None:
    """Delete the readings at some instants, as the settler does."""
    keys = {row[:2] for row in rows_of(block)}

    def without(stored: Block) -> Block:
        return stored.take(np.array([row[:2] not in keys for row in rows_of(stored)], dtype=bool))

    async with connection.transaction(isolation="repeatable_read"):
        await rewrite(connection, Windows.around(block, 0), without)


async def old_shape(url: str, block: Block) -> Connection:
    """A database that held readings as rows before it was upgraded."""
    connection: Connection = await asyncpg.connect(url, server_settings={"TimeZone": "UTC"})
    await released.make_schema(connection, "timescale", 15)
    rows = [(series, EPOCH + timedelta(microseconds=at), value) for series, at, value, *_ in rows_of(block)]
    random.Random(1).shuffle(rows)
    await connection.copy_records_to_table("reading", records=rows, columns=["series_id", "ts", "value"])
    await migrate(connection)
    return connection


async def test_readings_of_the_old_shape_move_into_batches_before_everyones_eyes(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(columnstore, "CONVERTED", 700)
    old = merged([readings(range(1, 6), 300), readings(range(1, 4), 20, start=MONDAY + WEEK)])
    settler = await old_shape(database_url, old)
    reader = await asyncpg.connect(database_url)
    new = readings([1, 2], 100, start=MONDAY + 250 * SECOND)  # over the last of them, and after them
    async with reader.transaction(isolation="repeatable_read"):
        assert await stored(reader) == rows_of(old)
        await settle(settler, new)
        whole = rows_of(merged([old, new]))
        turns = 0
        while await _convert(settler):
            turns += 1
            assert await stored(settler) == whole
            assert await stored(reader) == rows_of(old)
        assert turns > 2
        assert await stored(settler, "series_id, ts DESC") == sorted(whole, key=lambda row: (row[0], -row[1]))
    assert await rows_outside_batches(settler) == 0
    await settler.execute("VACUUM reading")
    chunks = [row["chunk"] for row in await settler.fetch(CHUNKS)]
    assert {await settler.fetchval("SELECT pg_relation_size($1::regclass)", chunk) for chunk in chunks} == {0}
    async with reader.transaction(isolation="repeatable_read"):
        await reader.execute("SELECT")
        await finish_conversion(settler, "timescale")
        assert await stored(reader) == whole
    plan = await settler.fetch("EXPLAIN SELECT ts FROM reading WHERE series_id = 1 ORDER BY ts DESC LIMIT 1")
    assert not any("Merge Append" in row[0] for row in plan)
    await reader.close()
    await settler.close()


async def _convert(connection: Connection) -> bool:
    async with connection.transaction(isolation="repeatable_read"):
        return await convert_some(connection)


async def test_small_batches_of_closed_hours_are_merged_until_none_are_worth_it(settler: Connection) -> None:
    for minute in range(180):
        await settle(settler, readings([1, 2], 5, start=MONDAY + minute * 60 * SECOND, step=10 * SECOND))
    before = await stored(settler)
    await settler.execute("UPDATE rollup_line SET read_line = instant_of($1)", MONDAY + 2 * HOUR)
    assert await batches(settler) == 360
    assert await _merge(settler) == 1
    assert await batches(settler) == 2 * (1 + 60)  # those of the two hours stand in one
    await settler.execute("UPDATE rollup_line SET read_line = instant_of($1)", MONDAY + WEEK)
    assert await _merge(settler) == 1
    assert await batches(settler) == 2
    assert await stored(settler) == before
    assert await rows_outside_batches(settler) == 0


async def _merge(connection: Connection) -> int:
    """Merge until nothing is worth it; returns the number of steps."""
    steps = 0
    while True:
        async with connection.transaction(isolation="repeatable_read"):
            if not await merge_small(connection):
                return steps
        steps += 1


async def test_a_forced_refresh_counts_readings_after_every_kind_of_change(settler: Connection) -> None:
    await settle(settler, readings([1, 2], 3000))
    await settle(settler, readings([1], 10, start=MONDAY + SECOND // 2))
    await delete(settler, readings([2], 5))
    await settler.execute("CALL refresh_continuous_aggregate('reading_hourly_aggregate', NULL, NULL, force => true)")
    found = await settler.fetch(
        "SELECT series_id, sum(sample_count)::int, sum(value_sum) FROM reading_hourly_aggregate GROUP BY 1 ORDER BY 1"
    )
    counted = await settler.fetch("SELECT series_id, count(*)::int, sum(value) FROM reading GROUP BY 1 ORDER BY 1")
    assert [tuple(row)[:2] for row in found] == [(1, 3010), (2, 2995)]
    assert [row[2] for row in found] == pytest.approx([row[2] for row in counted])


async def test_a_database_with_an_older_timescaledb_is_refused_with_the_reason(
    settler: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tidemark.database.engine.MIN_TIMESCALEDB", (99, 1))
    with pytest.raises(EngineError, match=r"with the timescale engine, but TimescaleDB .* is older than 99.1"):
        await migrate(settler)
