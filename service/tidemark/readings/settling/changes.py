"""Changes of the store: in the transaction that makes one, its roll-ups and newest readings follow it."""

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from tidemark.base.time import HOUR, WEEK, Window, ceil, floor, instant, microseconds
from tidemark.database.statements import engine_statements, statements
from tidemark.readings.columns import Block, Integers, ends_of, merged, starts_of
from tidemark.readings.settling.hours import Hours, days_of, hours_of, touched_hours
from tidemark.readings.store.engines import STORES
from tidemark.readings.store.windows import Windows

if TYPE_CHECKING:
    from tidemark.database.database import Connected


PART = 4 * WEEK
"""Readings are deleted in stretches of this length, so that they fit into memory."""


async def put(connection: "Connected", engine: str, block: Block) -> None:
    """Store readings, sorted by series and instant, in place of those of the same instants."""
    line = microseconds(await statements().read_line.value(connection))
    ends = ends_of(starts_of(block.series_id), len(block))
    newest = await _newest_stored(connection, block.series_id[ends])
    newer = (block.at > np.repeat(newest, np.diff(ends, prepend=-1))) & (block.at >= line)
    if newer.any():
        await STORES[engine].append(connection, block.take(newer))
    if not newer.all():
        late = block.take(~newer)
        now = await STORES[engine].rewrite(
            connection, Windows.around(late, line), lambda stored: merged([stored, late])
        )
        await _roll_up(connection, engine, hours_of(now, touched_hours(late.series_id, late.at, line)), line)
    await statements().note_newest_stored.run(
        connection,
        series_ids=block.series_id[ends].tolist(),
        newest_at=block.at[ends].tolist(),
        newest_values=block.value[ends].tolist(),
    )


async def _newest_stored(connection: "Connected", series_ids: npt.NDArray[np.int32]) -> Integers:
    """When each of some series, ascending, has its newest stored reading; before 1970 where it has none."""
    row = await statements().newest_stored.row(connection, series_ids=series_ids.tolist())
    assert row is not None  # an aggregate has one row
    newest = np.full(len(series_ids), -1, dtype=np.int64)
    newest[np.searchsorted(series_ids, row["series_ids"])] = row["newest_at"]
    return newest


async def delete(connection: "Connected", engine: str, series_id: int, window: Window) -> int:
    """Delete the stored readings of a series in a window; return how many."""
    line = microseconds(await statements().read_line.value(connection))
    deleted = 0
    while (part := await _next_part(connection, series_id, window)) is not None:
        deleted += await _delete_part(connection, engine, series_id, part, line)
        window = Window(part.finish, window.finish)
    await statements().renew_newest_stored.run(connection, series_id=series_id)
    return deleted


async def _next_part(connection: "Connected", series_id: int, window: Window) -> Window | None:
    """The first part of a window in which anything is stored; None where nothing is."""
    first = await statements().first_stored_at.value(
        connection, series_id=series_id, start=instant(window.start), finish=instant(window.finish)
    )
    if first is None:
        return None
    start = microseconds(first)
    return Window(start, min(start - start % PART + PART, window.finish))


async def _delete_part(connection: "Connected", engine: str, series_id: int, part: Window, line: int) -> int:
    gone = np.empty(0, dtype=np.int64)

    def without(stored: Block) -> Block:
        nonlocal gone
        inside = (stored.at >= part.start) & (stored.at < part.finish)
        gone = stored.at[inside]
        return stored.take(~inside)

    # Whole hours, whose roll-ups are computed from what is left of them.
    hours = Windows.of(series_id, floor(part.start, HOUR), ceil(part.finish, HOUR) - 1)
    left = await STORES[engine].rewrite(connection, hours, without)
    await _roll_up(connection, engine, hours_of(left, touched_hours(series_id, gone, line)), line)
    return len(gone)


async def _roll_up(connection: "Connected", engine: str, hours: Hours, line: int) -> None:
    if not len(hours):
        return
    await engine_statements(engine).write_hours.run(
        connection,
        series_ids=hours.series_id.tolist(),
        starts=[instant(at) for at in hours.start.tolist()],
        counts=hours.count.tolist(),
        totals=hours.total.tolist(),
        minimums=hours.minimum.tolist(),
        maximums=hours.maximum.tolist(),
    )
    series_ids, days = days_of(hours, line)
    if days:
        await engine_statements(engine).write_days.run(
            connection, series_ids=series_ids, days=[instant(at) for at in days]
        )
