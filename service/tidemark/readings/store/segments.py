"""The store of plain PostgreSQL: segments of up to a thousand readings of a series, and rows of the old table.

The segments of a series are disjoint in time, none crosses the beginning of a UTC month (so none crosses partitions),
and no row of the old table lies within one. Only the settler changes the store: each function here runs within its
transaction, which is repeatable read. Instants are in microseconds since 1970 UTC.
"""

from functools import partial
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from tidemark.base.time import HOUR, instant
from tidemark.database.copying import copy_in
from tidemark.database.statements import engine_statements
from tidemark.readings.arrays import (
    TIMESTAMPTZ,
    Field,
    arrays,
    count_of,
    elements_of,
    fetch_columns,
    number_fields,
    numbers_of,
    optional_arrays,
    optional_of,
    row_starts,
    without,
)
from tidemark.readings.columns import Block, Integers, Positions, ends_of, merged, starts_of
from tidemark.readings.copy_format import HEADER, POSTGRES_EPOCH, TRAILER
from tidemark.readings.optional_columns import OPTIONAL
from tidemark.readings.store.copy_rows import block_of_rows
from tidemark.readings.store.cuts import cuts
from tidemark.readings.store.store import Change
from tidemark.readings.store.windows import Windows

if TYPE_CHECKING:
    from tidemark.database.database import Connected

SEGMENT_READINGS = 1_000
"""Largest number of readings of a segment: readers unpack whole segments."""
COPIED = (
    *("series_id", "first_at", "last_at", "readings", "step", "at", "value"),
    *(column.name for column in OPTIONAL),
)
"""The columns of `segment`, in the order in which they are copied."""
CONVERTED_AT_ONCE = 500_000
"""Largest number of old rows that `convert_some` moves."""
MERGED_AT_ONCE = 1_000_000
"""About how many readings `merge_small` rewrites at most."""
SMALL = SEGMENT_READINGS // 2
"""Segments of fewer readings are worth merging. Whatever is longer than a segment is cut evenly, into larger ones."""

_EMPTY = Block(series_id=np.empty(0, np.int32), at=np.empty(0, np.int64), value=np.empty(0))


async def append(connection: "Connected", block: Block) -> None:
    """Store readings, distinct and sorted by (series, instant), each newer than all that are stored of its series."""
    if len(block):
        await _store(connection, block, row_starts(_pieces_of(block), SEGMENT_READINGS))


async def rewrite(connection: "Connected", windows: Windows, change: Change) -> Block:
    """See Store.rewrite."""
    block = change(await take_out(connection, windows))
    if len(block):
        await _store(connection, block, await _segment_starts(connection, block))
    return block


async def _store(connection: "Connected", block: Block, starts: Positions) -> None:
    """Store the segments of a sorted block that start at these positions."""
    await copy_in(connection, "segment", COPIED, copied(block, starts))
    small = np.diff(starts, append=len(block)) < SMALL
    if small.any():
        hours = np.unique(block.at[starts[small]] // HOUR * HOUR)
        await engine_statements("postgres").plan_merges.run(connection, hours=hours.tolist())


async def take_out(connection: "Connected", windows: Windows) -> Block:
    """Remove the segments that overlap these windows, and old rows in the windows.

    Returns all readings that they had, sorted by series and instant; some may lie outside of the windows.
    """
    if not len(windows):
        return _EMPTY
    sql, bounds = engine_statements("postgres"), _bounds(windows)
    segments = segment_block(await fetch_columns(connection, sql.take_segments, **bounds))
    rows = block_of_rows(await sql.take_unpacked.copy(connection, **bounds))
    return merged([segments, rows])


async def convert_some(connection: "Connected") -> bool:
    """Move a limited number of old rows to segments. Returns False if there are none left.

    Whoever has an older snapshot finds them where they were. Their space comes back when the old table is vacuumed, a
    whole month at the latest: rows move month by month, so that the end of its partition becomes empty.
    """
    sql = engine_statements("postgres")
    month = await sql.unpacked_month.row(connection)
    if month is None:
        return False
    start, finish = month
    border = await sql.unpacked_border.row(connection, start=start, finish=finish, rows=CONVERTED_AT_ONCE)
    series_id, at = border or (2**31 - 1, finish)
    rows = block_of_rows(
        await sql.take_unpacked_until.copy(connection, start=start, finish=finish, last_series=series_id, last_at=at)
    )
    first = starts_of(rows.series_id)
    windows = Windows(rows.series_id[first], rows.at[first], rows.at[ends_of(first, len(rows))])
    await rewrite(connection, windows, lambda stored: merged([stored, rows]))
    return True


async def merge_small(connection: "Connected") -> bool:
    """Merge neighbouring small segments of an hour, day or month that is over, a limited number of readings at once.

    Returns False if nothing is due. An hour's segments become one of each series, those a day's, those a month's, or as
    many as are needed: a reading is rewritten three times at most. Waits until all old rows have moved, since they may
    lie between segments.
    """
    sql = engine_statements("postgres")
    due = await sql.due_merge.row(connection)
    if due is None or await sql.unpacked_month.row(connection) is not None:
        return False
    start, finish = due
    small = await sql.small_segments.rows(
        connection, start=start, finish=finish, small=SMALL, full=SEGMENT_READINGS, max_readings=MERGED_AT_ONCE
    )
    if small:
        series_ids, starts, finishes = np.array([tuple(row) for row in small], dtype=np.int64).T
        windows = Windows(series_ids.astype(np.int32), starts, finishes)
        block = await take_out(connection, windows)
        await copy_in(connection, "segment", COPIED, copied(block, await _segment_starts(connection, block)))
    else:
        await sql.plan_longer_merge.run(connection, start=start, finish=finish)
    return True


async def _segment_starts(connection: "Connected", block: Block) -> Positions:
    """Where the segments of a sorted block start."""
    group = _pieces_of(block)
    starts = row_starts(group, SEGMENT_READINGS)
    cut = await cuts(len(block), starts, partial(_crossed, connection, block))
    return row_starts(group + np.cumsum(cut), SEGMENT_READINGS) if cut.any() else starts


def _pieces_of(block: Block) -> Positions:
    """A number for each reading of a sorted block, the same for those of a series and a month."""
    month = block.at.view("datetime64[us]").astype("datetime64[M]").view(np.int64)
    return np.append(0, np.cumsum((block.series_id[1:] != block.series_id[:-1]) | (month[1:] != month[:-1])))


async def _crossed(connection: "Connected", block: Block, firsts: Positions, lasts: Positions) -> npt.NDArray[np.bool_]:
    """See cuts.Crossed."""
    longer = np.flatnonzero(firsts < lasts)
    crossed = np.zeros(len(firsts), dtype=bool)
    if len(longer):
        first, last = firsts[longer], lasts[longer]
        bounds = _bounds(Windows(block.series_id[first], block.at[first], block.at[last]))
        rows = await engine_statements("postgres").crossed_stretches.rows(connection, **bounds)
        crossed[longer[[row["position"] for row in rows]]] = True
    return crossed


def _bounds(windows: Windows) -> dict[str, Any]:
    """The parameters of statements that look at windows, and between what all of these lie."""
    least = instant(int(windows.start.min()))
    return {
        **windows.parameters(),
        "least": least.replace(day=1, hour=0, minute=0, second=0, microsecond=0),
        "greatest": instant(int(windows.finish.max())),
    }


def copied(block: Block, starts: Positions) -> bytes:
    """Segments that start at these positions of a block, as COPY takes them into the columns `COPIED`."""
    bounds = [*starts.tolist(), len(block)]
    ends = ends_of(starts, len(block))
    steps, is_regular = _steps(block.at, starts, ends)
    heads = number_fields(
        len(COPIED),
        [
            ("i4", block.series_id[starts]),
            ("i8", block.at[starts] - POSTGRES_EPOCH),
            ("i8", block.at[ends] - POSTGRES_EPOCH),
            ("i4", np.diff(bounds)),
            ("i8", steps),
        ],
    )
    fields = [
        without(arrays(block.at - POSTGRES_EPOCH, bounds, TIMESTAMPTZ), is_regular.tolist()),
        arrays(block.value, bounds),
        *(optional_arrays(block, column, bounds) for column in OPTIONAL),
    ]
    rows = zip(heads, *chain.from_iterable(fields), strict=True)
    return b"".join([HEADER, *chain.from_iterable(rows), TRAILER])


def _steps(at: Integers, starts: Positions, ends: Positions) -> tuple[Integers, npt.NDArray[np.bool_]]:
    """How far apart the first two readings of each segment are (0 if there is one), and whether all others are too."""
    distances = np.diff(at, append=at[-1:])
    steps = np.where(starts < ends, distances[starts], 0)
    differs = distances != np.repeat(steps, ends - starts + 1)
    differs[ends] = False
    return steps, ~np.logical_or.reduceat(differs, starts)


def segment_block(columns: list[tuple[Field, ...]]) -> Block:
    """The readings of segments that a statement has returned."""
    if not columns:
        return _EMPTY
    series_id, first_at, step, at, value, *optional = columns
    readings = np.array([count_of(field) for field in value])
    number = np.arange(readings.sum()) - np.repeat(np.cumsum(readings) - readings, readings)
    instants = np.repeat(numbers_of(first_at, "i8"), readings) + number * np.repeat(numbers_of(step, "i8"), readings)
    instants[np.repeat([field is not None for field in at], readings)] = elements_of(at, "i8")
    return Block(
        series_id=np.repeat(numbers_of(series_id, "i4"), readings),
        at=instants + POSTGRES_EPOCH,
        value=elements_of(value, "f8"),
        optional=optional_of(optional, readings),
    )
