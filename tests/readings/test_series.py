"""Buckets and pages equal a plain recomputation of the snapshot's raw readings, whatever happens meanwhile."""

import random
from collections import defaultdict
from collections.abc import AsyncIterator
from datetime import UTC, datetime, time, timedelta
from functools import partial
from itertools import chain
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from tidemark.base.errors import TidemarkError
from tidemark.base.time import DAY, EARLIEST, HOUR, MINUTE, Window, instant, microseconds
from tidemark.database.database import QUERY_SESSION
from tidemark.readings import series as query
from tidemark.readings.buckets import HOURS, CalendarDays, Even, Grid
from tidemark.readings.fill import Fill, Point
from tidemark.readings.resolution import AGGREGATIONS, RAW, finest
from tidemark.readings.series import (
    count_buckets,
    count_readings,
    every_bucket,
    every_reading,
    has_at_most,
    page_of_buckets,
    page_of_readings,
)
from tidemark.readings.settling.deletion import delete_settled

from tests.readings.log_by_hand import everything
from tests.readings.store_and_log import (
    BEGIN,
    DAYS,
    SERIES,
    Connection,
    Connections,
    beside_the_settler,
    connections_to,
    empty_store,
    random_instant,
    random_values,
    roll_up,
    settle_everything,
    write,
)

CHECKS = 60
WRITERS = 2
BATCHES = 4
YEAR = 365 * DAY
ZONES = ("UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata", "Asia/Kathmandu", "Australia/Lord_Howe")
"""The readings lie around the last Sunday of March and the first of April, when clocks change."""
GROUPINGS = ([[11], [12], [13]], [[11, 13], [12]], [[12, 11, 13]], [[99], [11]], [[12], [11, 99], []])
Raw = list[tuple[int, int, float]]
"""Series, instant, value."""


@pytest.fixture
async def connections(migrated_url: str) -> AsyncIterator[Connections]:
    async with connections_to(migrated_url) as found:
        yield found


Cut = ZoneInfo | int
"""Buckets: the days of a zone, or the multiples of so many microseconds."""


def bucket_start(at: int, cut: Cut) -> int:
    """Where the bucket of an instant begins."""
    if isinstance(cut, int):
        return at // cut * cut
    local = instant(at).astimezone(cut)
    return microseconds(datetime.combine(local.date(), time(), cut).astimezone(UTC))


def all_starts(window: Window, cut: Cut) -> list[int]:
    """Where the buckets of a window begin, gaps included."""
    steps = range(window.start, window.finish, cut if isinstance(cut, int) else HOUR // 4)
    return sorted({bucket_start(at, cut) for at in (*steps, window.finish - 1)}) if window.finish > window.start else []


Pools = dict[tuple[int, int], list[float]]


def pools(raw: Raw, groups: list[list[int]], window: Window, cut: Cut) -> Pools:
    """The values of each bucket and group."""
    found: Pools = defaultdict(list)
    for series, at, value in raw:
        for number, group in enumerate(groups):
            if series in group and window.start <= at < window.finish:
                found[bucket_start(at, cut), number].append(value)
    return found


def mean(values: list[float]) -> float:
    return sum(values) / len(values)


def expected(
    raw: Raw, groups: list[list[int]], window: Window, cut: Cut, fill: Fill
) -> list[tuple[int, int, list[float], float | None]]:
    """Every item: bucket, group, its values, and what is to be shown."""
    inside = pools(raw, groups, window, cut)
    if fill is Fill.NONE:
        return [(at, group, values, mean(values)) for (at, group), values in sorted(inside.items())]
    outside = pools(raw, groups, Window(EARLIEST, window.start), cut)
    items = []
    for at in all_starts(window, cut):
        for group in range(len(groups)):
            values = inside.get((at, group), [])
            shown = mean(values) if values else None
            if not values and fill is not Fill.NULL:
                known = sorted((b, mean(v)) for (b, g), v in inside.items() if g == group)
                earlier = [one for one in known if one[0] < at]
                later = [one for one in known if one[0] > at]
                if fill is Fill.PREVIOUS:
                    before = sorted((b, mean(v)) for (b, g), v in outside.items() if g == group)
                    shown = earlier[-1][1] if earlier else before[-1][1] if before else None
                elif earlier and later:
                    (b0, v0), (b1, v1) = earlier[-1], later[0]
                    shown = v0 + (v1 - v0) * (at - b0) / (b1 - b0)
            items.append((at, group, values, shown))
    return items


def agree(found: Point, item: tuple[int, int, list[float], float | None], size: float) -> None:
    """Exactly, but for the mean: within 1e-9 of the mean size of the values."""
    at, group, values, shown = item
    assert (found.at, found.group, found.count) == (at, group, len(values))
    assert (found.minimum, found.maximum) == ((min(values), max(values)) if values else (None, None))
    assert (found.value is None) == (shown is None)
    if shown is not None:
        scale = mean([abs(value) for value in values]) if values else size
        assert found.value == pytest.approx(shown, rel=0, abs=1e-9 * scale + 1e-300)


async def check(connection: Connection, rng: random.Random) -> None:
    """One random question in one snapshot, against all raw readings of that snapshot."""
    cuts: list[Cut] = [HOUR, 15 * MINUTE, 5 * MINUTE, MINUTE, *map(ZoneInfo, ZONES)]
    cut = rng.choice(cuts)
    grid: Grid = Even(cut) if isinstance(cut, int) else CalendarDays(cut)
    groups = rng.choice(GROUPINGS)
    fill = rng.choice([*Fill])
    first, last = sorted((random_instant(rng), random_instant(rng)))
    if isinstance(cut, int) and fill is not Fill.NONE:
        last = min(last, first + 300 * cut)
    window = rng.choice((Window(first, last), Window(first, last), Window(first, first + HOUR), Window(first, first)))
    if fill is Fill.NONE and rng.random() < 0.2:
        window = Window(first - rng.randrange(YEAR), last + rng.randrange(YEAR))
    most = rng.choice((1, 7, 100, 1000))
    async with connection.transaction():
        raw = [(*key, stored.value) for key, stored in (await everything(connection)).items()]
        items = expected(raw, groups, window, cut, fill)
        size = max((abs(value) for _, _, value in raw), default=0.0)
        for skip in {0, rng.randrange(len(items) + 2) // most * most, len(items) // most * most}:
            found, total = await page_of_buckets(connection, groups, window, grid, fill, most, skip)
            assert total == len(items)
            assert len(found) == len(items[skip : skip + most])
            for point, item in zip(found, items[skip:], strict=False):
                agree(point, item, size)
        pieces = [piece async for piece in every_bucket(connection, groups, window, grid, fill)]
        for point, item in zip(chain.from_iterable(pieces), items, strict=True):
            agree(point, item, size)
        if fill is Fill.NONE:
            assert await count_buckets(connection, groups, window, grid) == len(items)
            for limit in (len(items) - 1, len(items)):
                assert await has_at_most(connection, groups, window, grid, limit) == (len(items) <= limit)
        if rng.random() < 0.5:
            await check_finest(connection, rng, raw, first, last)
        await check_raw(connection, rng, raw, window)


async def check_finest(connection: Connection, rng: random.Random, raw: Raw, first: int, last: int) -> None:
    """The finest aggregation by plain counting, without a fill also of a window that is empty mostly."""
    series, zone, fill = rng.choice(([11], [12, 13])), ZoneInfo(rng.choice(ZONES)), rng.choice((Fill.NONE, Fill.NULL))
    around = YEAR if fill is Fill.NONE and rng.random() < 0.5 else 1
    window = Window(first - rng.randrange(around), last + rng.randrange(around))
    groups = [[one] for one in series]
    cuts: list[Cut] = [MINUTE, 5 * MINUTE, 15 * MINUTE, HOUR, zone]
    counts = [
        len(pools(raw, groups, window, cut)) if fill is Fill.NONE else len(all_starts(window, cut)) * len(series)
        for cut in cuts
    ]
    names = list(AGGREGATIONS[1:])
    if fill is Fill.NONE:
        names.insert(0, RAW)
        counts.insert(0, sum(1 for one, at, _ in raw if one in series and window.start <= at < window.finish))
    limits = {1, *counts, *(count - 1 for count in counts)} - {0, -1}
    for most in rng.sample(sorted(limits), min(len(limits), 2)):
        fitting = [name for name, count in zip(names, counts, strict=True) if count <= most]
        question = finest(connection, series, window, zone, fill, most)
        if fitting:
            assert await question == fitting[0], (counts, most)
        else:
            with pytest.raises(TidemarkError, match=f"{counts[-1]} points"):
                await question


async def check_raw(connection: Connection, rng: random.Random, raw: Raw, window: Window) -> None:
    """The same of raw readings: every page of them."""
    series = rng.choice(([11, 12, 13], [13, 11], [12], [99], []))
    inside = sorted(
        (at, series.index(one), one, value)
        for one, at, value in raw
        if one in series and window.start <= at < window.finish
    )
    assert await count_readings(connection, series, window) == len(inside)
    pieces = [piece async for piece in every_reading(connection, series, window)]
    shown = [(reading.at, reading.series_id, reading.value) for reading in chain.from_iterable(pieces)]
    assert shown == [(at, one, value) for at, _, one, value in inside]
    most = rng.choice((1, 3, 50, 1000))
    for skip in {0, len(inside) // 2, max(0, len(inside) - 1), len(inside) + 5}:
        found, total = await page_of_readings(connection, series, window, most, skip)
        assert total == len(inside)
        shown = [(reading.at, reading.series_id, reading.value) for reading in found]
        assert shown == [(at, one, value) for at, _, one, value in inside[skip : skip + most]]


async def test_under_writers_deletes_and_the_settler(
    engine: str, connections: Connections, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(query, "SLICE_READINGS", 4)
    monkeypatch.setattr(query, "SLICE_BUCKETS", 150)
    seed = random.randrange(2**32)
    print("seed", seed)
    chance, reader = random.Random(seed - 1), await connections.one(QUERY_SESSION)

    async def change(connection: Connection, rng: random.Random) -> None:
        if rng.random() < 0.1:
            start = random_instant(rng)
            window = Window(start, start + rng.choice((HOUR, DAY, 3 * DAY)))
            await delete_settled(connection, engine, rng.choice(SERIES), window)
        else:
            await write(connection, random_values(rng))

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
    job = await connections.one()
    await settle_everything(job, engine)
    await roll_up(job, engine, BEGIN + timedelta(days=DAYS))
    rng = random.Random(seed)
    for _ in range(CHECKS):
        await check(reader, rng)


@pytest.mark.parametrize("rolled_up", [True, False])
async def test_a_window_of_decades_is_as_fine_as_its_few_readings(
    engine: str, connections: Connections, monkeypatch: pytest.MonkeyPatch, rolled_up: bool
) -> None:
    """Readings lie in runs of seconds here and there, some late; no statement gets the bounds of what is empty."""
    writer, reader = await connections.one(), await connections.one(QUERY_SESSION)
    seed = random.randrange(2**32)
    print("seed", seed)
    rng, years = random.Random(seed), 50
    runs = [microseconds(BEGIN) + rng.choice((rng.randrange(20 * DAY), HOUR - 10 * MINUTE)) for _ in range(8)]
    runs += [rng.randrange(years * YEAR) for _ in range(4)]
    values = {
        (rng.choice((11, 12)), at + second * 1_000_000): float(second)
        for at in runs
        for second in range(0, 3600, rng.choice((10, 20)))
    }
    late = set(rng.sample(sorted(values), 100))
    await write(writer, {key: value for key, value in values.items() if key not in late})
    if rolled_up:
        await settle_everything(writer, engine)
        assert await roll_up(writer, engine, BEGIN + timedelta(days=30))
    await write(writer, {key: values[key] for key in late})
    longest = 0
    buckets = query._buckets

    async def watched(*asked: Any) -> tuple[list[Point], int]:
        nonlocal longest
        longest = max(longest, len(asked[3]) - 1)
        return await buckets(*asked)

    monkeypatch.setattr(query, "_buckets", watched)
    window, zone = Window(rng.randrange(DAY), 2 * years * YEAR), ZoneInfo("Asia/Kathmandu")
    raw, groups = [(*key, value) for key, value in values.items()], [[11], [12]]
    cuts: list[tuple[str, Cut]] = [
        *zip(AGGREGATIONS[1:-1], (MINUTE, 5 * MINUTE, 15 * MINUTE, HOUR), strict=True),
        ("daily", zone),
    ]
    async with reader.transaction():
        for name, cut in cuts:
            items = expected(raw, groups, window, cut, Fill.NONE)
            assert await finest(reader, [11, 12], window, zone, Fill.NONE, len(items)) == name
            grid: Grid = Even(cut) if isinstance(cut, int) else CalendarDays(cut)
            skip = len(items) // 3
            page, total = await page_of_buckets(reader, groups, window, grid, Fill.NONE, 50, skip)
            assert (total, len(page)) == (len(items), min(50, len(items) - skip))
            for point, item in zip(page, items[skip:], strict=False):
                agree(point, item, 1.0)
            pieces = [piece async for piece in every_bucket(reader, groups, window, grid, Fill.NONE)]
            for point, item in zip(chain.from_iterable(pieces), items, strict=True):
                agree(point, item, 1.0)
    assert longest <= query.SLICE_BUCKETS


@pytest.mark.parametrize("zone", [None, *ZONES])
async def test_rolled_up_buckets_are_not_read_raw(engine: str, connections: Connections, zone: str | None) -> None:
    writer, reader = await connections.one(), await connections.one(QUERY_SESSION)
    start = microseconds(BEGIN)
    quarters = {(series, start + at): float(at % 97) for series in (11, 12) for at in range(0, 5 * DAY, HOUR // 4)}
    await write(writer, quarters)
    await settle_everything(writer, engine)
    assert await roll_up(writer, engine, BEGIN + timedelta(days=6))
    grid: Grid = HOURS if zone is None else CalendarDays(ZoneInfo(zone))
    window = Window(start, start + 5 * DAY)
    question = (reader, [[11, 12]], window, grid, Fill.NONE, 1000, 0)
    async with reader.transaction():
        before, total = await page_of_buckets(*question)
    assert (total == 5 * 24) if zone is None else (total in (5, 6))
    # Gone behind the back of the protocol: whatever is still counted did not come from raw readings.
    await empty_store(writer, engine)
    async with reader.transaction():
        after, _ = await page_of_buckets(*question)
    cut_hours = sum(1 for bound in grid.bounds(window)[1:-1] if bound % HOUR)
    lost = sum(point.count for point in before) - sum(point.count for point in after)
    # Days that begin in the middle of an hour have that hour read raw: 4 readings of 2 series.
    assert lost == cut_hours * 8


async def test_where_hours_tell_already_no_raw_readings_are_read(engine: str, connections: Connections) -> None:
    writer, reader = await connections.one(), await connections.one(QUERY_SESSION)
    start = microseconds(BEGIN)
    await write(writer, {(11, start + at): 1.0 for at in range(0, 5 * DAY, HOUR // 12)})
    await settle_everything(writer, engine)
    assert await roll_up(writer, engine, BEGIN + timedelta(days=6))
    await empty_store(writer, engine)  # behind the back of the protocol
    for most, found in ((1440, "raw"), (119, "daily"), (5, "daily")):
        async with reader.transaction():
            window = Window(start, start + 5 * DAY)
            assert await finest(reader, [11], window, ZoneInfo("UTC"), Fill.NONE, most) == found


@pytest.mark.parametrize("zone", ["UTC", "Asia/Kolkata"])
async def test_a_late_reading_counts_at_once(engine: str, connections: Connections, zone: str) -> None:
    writer, reader = await connections.one(), await connections.one(QUERY_SESSION)
    start = microseconds(BEGIN)
    await write(writer, {(11, start + HOUR): 1.0})
    await settle_everything(writer, engine)
    assert await roll_up(writer, engine, BEGIN + timedelta(days=6))
    await write(writer, {(11, start + HOUR + 1): 5.0, (11, start + 3 * DAY): 7.0})
    await delete_settled(writer, engine, 11, Window(start + 3 * DAY, start + 4 * DAY))
    for grid in (HOURS, CalendarDays(ZoneInfo(zone))):
        async with reader.transaction():
            found, total = await page_of_buckets(
                reader, [[11]], Window(start, start + 5 * DAY), grid, Fill.NONE, 1000, 0
            )
        assert total == 1
        assert (found[0].count, found[0].value, found[0].minimum, found[0].maximum) == (2, 3.0, 1.0, 5.0)
