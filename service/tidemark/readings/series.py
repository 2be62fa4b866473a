"""Series in a window: raw readings, or buckets with gaps filled; one page of them, or all of them in pieces.

A response is read in one snapshot, so the connection must be in a repeatable read transaction.
"""

from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from itertools import groupby, repeat
from typing import TYPE_CHECKING

from tidemark.base.time import DAY, EARLIEST, Window, instant, microseconds
from tidemark.database.statements import statements
from tidemark.readings.buckets import HOURS, UTC_DAYS, Grid, enclosing
from tidemark.readings.fill import Fill, Point, fill_gaps
from tidemark.readings.statistics import mean_of
from tidemark.readings.tiers import cover

if TYPE_CHECKING:
    from asyncpg import Record

    from tidemark.database.database import Connected

Groups = Sequence[Sequence[int]]
"""The series ids of each group; the readings of a group are pooled."""

SLICE_READINGS = 20_000
"""Largest number of readings that are sorted at a time, unless a single hour has more."""
SLICE_BUCKETS = 10_000
"""Largest number of buckets that are computed at a time."""

_ALL = 2**62


@dataclass(frozen=True, slots=True)
class Sample:
    """A raw reading; `at` in microseconds since 1970 UTC."""

    at: int
    series_id: int
    value: float


async def count_readings(connection: "Connected", series_ids: Sequence[int], window: Window) -> int:
    """The number of readings in a window, counted by roll-ups as far as possible."""
    counted, _ = await _buckets(connection, [series_ids], window, [window.start, window.finish], 1, 0)
    return counted[0].count if counted else 0


async def page_of_readings(
    connection: "Connected", series_ids: Sequence[int], window: Window, limit: int, skip: int
) -> tuple[list[Sample], int]:
    """A page of the readings in a window, ordered by time and then as the series are given; and their total number.

    Readings before and after the page are not read but counted by days and hours.
    """
    days, _ = await _all_buckets(connection, series_ids, window, UTC_DAYS)
    total = sum(day.count for day in days)
    if skip >= total:
        return [], total
    first, skipped = _holding(days, skip)
    last, _ = _holding(days, min(skip + limit, total) - 1)
    window = _overlap(window, Window(first.at, UTC_DAYS.around(last.at).finish))
    if skip > skipped:
        one_day = _overlap(window, UTC_DAYS.around(first.at))
        hours, _ = await _all_buckets(connection, series_ids, one_day, HOURS)
        hour, before = _holding(hours, skip - skipped)
        window, skipped = _overlap(window, Window(hour.at, window.finish)), skipped + before
    rows = await statements().readings_in_order.rows(
        connection,
        series_ids=series_ids,
        start=instant(window.start),
        finish=instant(window.finish),
        max_rows=limit,
        skip=skip - skipped,
    )
    return _readings(rows), total


async def every_reading(
    connection: "Connected", series_ids: Sequence[int], window: Window
) -> AsyncGenerator[list[Sample], None]:
    """All readings in a window, in pieces and in constant memory, ordered by time and then as the series are given."""
    async for part in _slices(connection, series_ids, window):
        bounds = {"start": instant(part.start), "finish": instant(part.finish)}
        pieces = statements().readings_in_order.pieces(
            connection, series_ids=series_ids, **bounds, max_rows=_ALL, skip=0
        )
        async for rows in pieces:
            yield _readings(rows)


async def count_buckets(connection: "Connected", groups: Groups, window: Window, grid: Grid) -> int:
    """The number of buckets in a window that hold readings, counted for each group separately."""
    _, total = await page_of_buckets(connection, groups, window, grid, Fill.NONE, 0, 0)
    return total


async def page_of_buckets(
    connection: "Connected", groups: Groups, window: Window, grid: Grid, fill: Fill, limit: int, skip: int
) -> tuple[list[Point], int]:
    """A page of the buckets in a window, ordered by time and group; and their total number.

    Without a fill these are the buckets that hold readings, otherwise every bucket of each group. Only readings in the
    window count, also in its first and last bucket.
    """
    if fill is Fill.NONE:
        return await _page_of_held(connection, groups, window, grid, limit, skip)
    bounds = grid.bounds(window)
    total = max(0, len(bounds) - 1) * len(groups)
    if skip >= total:
        return [], total
    first, last = skip // len(groups), (min(skip + limit, total) - 1) // len(groups)
    filled = await _stretch(connection, groups, window, grid, fill, bounds[first : last + 2])
    skip -= first * len(groups)
    return filled[skip : skip + limit], total


async def every_bucket(
    connection: "Connected", groups: Groups, window: Window, grid: Grid, fill: Fill
) -> AsyncGenerator[list[Point], None]:
    """All buckets that `page_of_buckets` has on its pages, in pieces and in constant memory."""
    size = max(1, SLICE_BUCKETS // max(1, len(groups)))
    if fill is Fill.NONE:
        async for cut in _held_buckets(connection, groups, window, grid, repeat(size)):
            points, _ = await _buckets(connection, groups, _within(window, cut), cut, (len(cut) - 1) * len(groups), 0)
            yield points
        return
    bounds = grid.bounds(window)
    for first in range(0, len(bounds) - 1, size):
        yield await _stretch(connection, groups, window, grid, fill, bounds[first : first + size + 1])


async def has_at_most(connection: "Connected", groups: Groups, window: Window, grid: Grid, limit: int) -> bool:
    """Whether at most `limit` buckets in a window hold readings, counted for each group separately.

    Reads at most about twice as many buckets.
    """
    found = 0
    sizes = _doubled(max(1, limit // max(1, len(groups))))
    async with aclosing(_held_buckets(connection, groups, window, grid, sizes)) as cuts:
        async for cut in cuts:
            _, count = await _buckets(connection, groups, _within(window, cut), cut, 0, 0)
            found += count
            if found > limit:
                break
    return found <= limit


async def _page_of_held(
    connection: "Connected", groups: Groups, window: Window, grid: Grid, limit: int, skip: int
) -> tuple[list[Point], int]:
    found: list[Point] = []
    total = 0
    async for cut in _held_buckets(connection, groups, window, grid, repeat(SLICE_BUCKETS)):
        points, count = await _buckets(
            connection, groups, _within(window, cut), cut, limit - len(found), max(0, skip - total)
        )
        found += points
        total += count
    return found, total


async def _held_buckets(
    connection: "Connected", groups: Groups, window: Window, grid: Grid, sizes: Iterator[int]
) -> AsyncGenerator[Sequence[int], None]:
    """The bounds of buckets that hold all readings in a window, in order; `sizes` has the largest size of each piece.

    Empty stretches may be merged into one longer bucket each, which is never the first of its piece.
    """
    bounds: list[int] = []
    size = next(sizes)
    async with aclosing(_held_parts(connection, groups, window, grid)) as parts:
        async for part in parts:
            following = grid.bounds(part)
            if bounds and (len(bounds) == 1 or bounds[-1] == following[0]):
                bounds.pop()
            bounds.extend(following)
            first = 0
            while len(bounds) - first > size:
                yield bounds[first : first + size + 1]
                first, size = first + size, next(sizes)
            del bounds[:first]
    if len(bounds) > 1:
        yield bounds


async def _held_parts(
    connection: "Connected", groups: Groups, window: Window, grid: Grid
) -> AsyncGenerator[Window, None]:
    """The parts of a window that hold all its readings, in order; no bucket is in two of them.

    A window of few buckets is returned whole. A longer one may be empty for years, so roll-ups locate its readings by
    day and within these by hour, and only these parts are divided into buckets.
    """
    coarser = enclosing(grid)
    if coarser is None or len(grid.bounds(window)) - 1 <= SLICE_BUCKETS:
        start = window.start
        while start < window.finish:
            # Only a slice of days at a time: computing the midnights of a century would block the event loop.
            last = min(start + SLICE_BUCKETS * DAY, window.finish) - 1
            finish = min(grid.around(last).finish, window.finish)
            yield Window(start, finish)
            start = finish
        return
    pool = [[series_id for group in groups for series_id in group]]
    async with aclosing(_held_buckets(connection, pool, window, coarser, repeat(SLICE_BUCKETS))) as cuts:
        async for cut in cuts:
            points, _ = await _buckets(connection, pool, _within(window, cut), cut, len(cut), 0)
            for point in points:
                yield _overlap(window, coarser.around(point.at))


def _doubled(size: int) -> Iterator[int]:
    """Sizes of pieces, each twice the previous one, up to `SLICE_BUCKETS`."""
    while True:
        size = min(size, SLICE_BUCKETS)
        yield size
        size *= 2


async def _stretch(
    connection: "Connected", groups: Groups, window: Window, grid: Grid, fill: Fill, shown: Sequence[int]
) -> list[Point]:
    """All buckets of each group between consecutive bounds in a window, with gaps filled."""
    part = _within(window, shown)
    known, _ = await _buckets(connection, groups, part, shown, (len(shown) - 1) * len(groups), 0)
    before: Mapping[int, Point] = {}
    after: Mapping[int, Point] = {}
    if fill is Fill.PREVIOUS:
        before = await _nearest(
            connection, groups, Window(EARLIEST, part.start), grid, _missing(groups, known, shown[0])
        )
    elif fill is Fill.LINEAR:
        earlier, later = Window(window.start, part.start), Window(part.finish, window.finish)
        before = await _nearest(connection, groups, earlier, grid, _missing(groups, known, shown[0]))
        after = await _nearest(connection, groups, later, grid, _missing(groups, known, shown[-2]), first=True)
    return fill_gaps(known, shown[:-1], len(groups), fill, before, after)


async def _buckets(
    connection: "Connected", groups: Groups, window: Window, bounds: Sequence[int], limit: int, skip: int
) -> tuple[list[Point], int]:
    members = [(series_id, number) for number, group in enumerate(groups) for series_id in group]
    if not members or len(bounds) < 2:
        return [], 0
    series_ids = [series_id for series_id, _ in members]
    trust = await statements().late_hours.row(
        connection, series_ids=series_ids, start=instant(window.start), finish=instant(window.finish)
    )
    assert trust is not None  # the query always returns a row
    plan = cover(window, bounds, microseconds(trust["read_line"]), map(microseconds, trust["late_hours"]))
    rows = await statements().buckets.rows(
        connection,
        series_ids=series_ids,
        groups=[number for _, number in members],
        start=instant(window.start),
        finish=instant(window.finish),
        bounds=[instant(bound) for bound in bounds],
        raw_starts=[instant(start) for start, _ in plan.raw],
        raw_finishes=[instant(finish) for _, finish in plan.raw],
        raw_hours=[instant(hour) for hour in plan.raw_hours],
        open_days=[instant(day) for day in plan.open_days],
        max_rows=limit,
        skip=skip,
        hours_start=instant(plan.tiers.hours_start),
        days_start=instant(plan.tiers.days_start),
        days_finish=instant(plan.tiers.days_finish),
        hours_finish=instant(plan.tiers.hours_finish),
    )
    found = [
        Point(
            bounds[row["bucket_number"] - 1],
            row["group_number"],
            row["sample_count"],
            mean_of(row["value_sum"], row["sample_count"], row["value_min"], row["value_max"]),
            row["value_min"],
            row["value_max"],
        )
        for row in rows
        if row["bucket_number"] is not None
    ]
    return found, rows[0]["total_count"]


async def _all_buckets(
    connection: "Connected", series_ids: Sequence[int], window: Window, grid: Grid
) -> tuple[list[Point], int]:
    bounds = grid.bounds(window)
    return await _buckets(connection, [series_ids], window, bounds, len(bounds), 0)


async def _slices(connection: "Connected", series_ids: Sequence[int], window: Window) -> AsyncGenerator[Window, None]:
    """The parts of a window that hold readings, in order: days, or the hours of a day with many readings."""
    days, _ = await _all_buckets(connection, series_ids, window, UTC_DAYS)
    for some in _portions(days):
        part = _overlap(window, Window(some[0].at, UTC_DAYS.around(some[-1].at).finish))
        if some[0].count <= SLICE_READINGS:
            yield part
            continue
        hours, _ = await _all_buckets(connection, series_ids, part, HOURS)
        for few in _portions(hours):
            yield _overlap(window, Window(few[0].at, HOURS.around(few[-1].at).finish))


def _portions(points: Sequence[Point]) -> Iterator[Sequence[Point]]:
    """Runs of points with at most `SLICE_READINGS` samples together; a point with more is a run by itself."""
    first = held = 0
    for index, point in enumerate(points):
        if index > first and held + point.count > SLICE_READINGS:
            yield points[first:index]
            first, held = index, 0
        held += point.count
    if points:
        yield points[first:]


async def _nearest(
    connection: "Connected",
    groups: Groups,
    window: Window,
    grid: Grid,
    wanted: Sequence[int],
    *,
    first: bool = False,
) -> dict[int, Point]:
    """The last bucket in a window, or the first, that holds a reading of a group; for the wanted groups, by number.

    This is only one bucket per group, but perhaps far away, so it is computed from raw readings.
    """
    group_of = {series_id: number for number in wanted for series_id in groups[number]}
    if not group_of or window.finish <= window.start:
        return {}
    sql = statements()
    rows = await (sql.first_instants if first else sql.last_instants).rows(
        connection, series_ids=list(group_of), start=instant(window.start), finish=instant(window.finish)
    )
    nearest: dict[int, int] = {}
    for row in rows:
        number, at = group_of[row["series_id"]], microseconds(row["ts"])
        nearest[number] = (min if first else max)(at, nearest.get(number, at))
    if not nearest:
        return {}
    buckets = {number: grid.around(at) for number, at in nearest.items()}
    stretches = {number: _overlap(bucket, window) for number, bucket in buckets.items()}
    members = sorted((group_of[series_id], series_id) for series_id in group_of if group_of[series_id] in nearest)
    rows = await sql.pieces_of_series.rows(
        connection,
        series_ids=[series_id for _, series_id in members],
        starts=[instant(stretches[number].start) for number, _ in members],
        finishes=[instant(stretches[number].finish) for number, _ in members],
        start=instant(min(stretch.start for stretch in stretches.values())),
        finish=instant(max(stretch.finish for stretch in stretches.values())),
    )
    found = {}
    for number, pieces in groupby(
        sorted((row for row in rows if row["sample_count"]), key=lambda row: group_of[row["series_id"]]),
        key=lambda row: group_of[row["series_id"]],
    ):
        pooled = list(pieces)
        count = sum(row["sample_count"] for row in pooled)
        low, high = min(row["value_min"] for row in pooled), max(row["value_max"] for row in pooled)
        mean = mean_of(sum(row["value_sum"] for row in pooled), count, low, high)
        found[number] = Point(buckets[number].start, number, count, mean, low, high)
    return found


def _readings(rows: "Sequence[Record]") -> list[Sample]:
    return [Sample(microseconds(row["ts"]), row["series_id"], row["value"]) for row in rows]


def _missing(groups: Groups, known: Sequence[Point], at: int) -> list[int]:
    """The numbers of the groups without a known bucket that starts at an instant."""
    present = {point.group for point in known if point.at == at}
    return [number for number in range(len(groups)) if number not in present]


def _holding(points: Sequence[Point], position: int) -> tuple[Point, int]:
    """The point that holds the sample at a position, and the number of samples before that point."""
    before = 0
    for point in points:
        if position < before + point.count:
            return point, before
        before += point.count
    raise IndexError(position)


def _overlap(one: Window, other: Window) -> Window:
    return Window(max(one.start, other.start), min(one.finish, other.finish))


def _within(window: Window, bounds: Sequence[int]) -> Window:
    """The part of a window between the first and the last bound."""
    return _overlap(window, Window(bounds[0], bounds[-1]))
