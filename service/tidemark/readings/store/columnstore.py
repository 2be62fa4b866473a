"""The store on TimescaleDB: batches of up to 1,000 readings of a series in the columnstore of the table `reading`.

Only the settler calls these functions, in a repeatable read transaction. Batches of a series never overlap: TimescaleDB
trusts that when it reads a series in order of time, and every function here keeps it so. A change takes out whole
batches and appends what is to be there instead, since to change readings within a batch would unpack it.
"""

from collections.abc import Iterator, Sequence
from datetime import timedelta
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from tidemark.base.time import WEEK
from tidemark.database.copying import copy_in
from tidemark.database.statements import engine_statements
from tidemark.readings.columns import Block, Positions, ends_of, starts_of
from tidemark.readings.copy_format import copy_payload
from tidemark.readings.store.copy_rows import block_of_rows
from tidemark.readings.store.cuts import cuts
from tidemark.readings.store.store import Change
from tidemark.readings.store.windows import Windows

if TYPE_CHECKING:
    from asyncpg import Record

    from tidemark.database.database import Connected

CHUNK = 4 * WEEK
"""How long a chunk of the table is at most, in microseconds; they are cut from 1970 on."""
CONVERTED = 500_000
"""About how many readings `convert_some` moves."""
MERGED = 1_000_000
"""About how many readings `merge_small` merges."""
WIDTHS = (timedelta(days=1), timedelta(hours=1))
"""Small batches are merged with those of their day, or if that is not over, of their hour."""


class StoreError(Exception):
    """TimescaleDB did not store readings as it should; the transaction must be rolled back."""


async def append(connection: "Connected", block: Block) -> None:
    """Store readings, distinct and sorted by (series, instant), each newer than all that are stored of its series.

    Raises StoreError if TimescaleDB stores any of them outside of batches.
    """
    if len(block):
        await _store(connection, block, starts_of(block.series_id))


async def rewrite(connection: "Connected", windows: Windows, change: Change) -> Block:
    """See Store.rewrite. Raises StoreError as append does."""
    block = change(await take_out(connection, windows))
    if len(block):
        await _store(connection, block, await _starts_of_stretches(connection, block))
    return block


async def _store(connection: "Connected", block: Block, starts: Positions) -> None:
    """Store the stretches of a block that start at these positions. No batch comes to have readings of two of them."""
    sql = engine_statements("timescale")
    await sql.write_batches.run(connection)
    for part in _copies(block, starts):
        payload = copy_payload(part)
        await copy_in(connection, "reading", payload.columns, payload.data)
    stretches = _stretches(block, starts, ends_of(starts, len(block)))
    stored = await sql.readings_in_batches.value(connection, **stretches.parameters())
    if stored != len(block):
        raise StoreError(f"The batches where {len(block)} readings were stored hold {stored}.")


async def _starts_of_stretches(connection: "Connected", block: Block) -> Positions:
    """Where a sorted block is to be cut, so that nothing that is stored lies within a stretch of it."""
    starts = starts_of(block.series_id)
    cut = await cuts(len(block), starts, partial(_crossed, connection, block))
    return np.union1d(starts, np.flatnonzero(cut))


async def _crossed(connection: "Connected", block: Block, firsts: Positions, lasts: Positions) -> npt.NDArray[np.bool_]:
    """See cuts.Crossed."""
    rows = await engine_statements("timescale").stretches_with_batches.rows(
        connection, **_stretches(block, firsts, lasts).parameters()
    )
    crossed = np.zeros(len(firsts), dtype=bool)
    crossed[[row["number"] - 1 for row in rows]] = True
    return crossed


def _stretches(block: Block, firsts: Positions, lasts: Positions) -> Windows:
    return Windows(block.series_id[firsts], block.at[firsts], block.at[lasts])


def _copies(block: Block, starts: Positions) -> Iterator[Block]:
    """A block in parts that are copied one by one, each with one stretch of a series at most.

    TimescaleDB puts into one batch what one COPY brings of a series into a chunk without anything in between.
    """
    series = block.series_id[starts]
    first = starts_of(series)
    turn = np.arange(len(starts)) - np.repeat(first, np.diff(first, append=len(starts)))
    of_reading = np.repeat(turn, np.diff(starts, append=len(block)))
    # Stable: within, by series and instant. A batch ends where COPY turns to another chunk.
    order = np.lexsort((block.at // CHUNK, of_reading))
    bounds = np.cumsum(np.bincount(of_reading))
    for start, end in pairwise([0, *bounds.tolist()]):
        yield block.take(order[start:end])


async def take_out(connection: "Connected", windows: Windows) -> Block:
    """Remove the whole batches that overlap the windows, and return their readings sorted by (series, instant).

    Readings in a window that are not in a batch are removed as well.
    """
    return block_of_rows(
        await engine_statements("timescale").take_out_readings.copy(connection, **windows.parameters())
    )


async def convert_some(connection: "Connected") -> bool:
    """Move some readings of the old shape, rows of a chunk, into batches; False if no chunk has any rows."""
    rows = await engine_statements("timescale").rows_to_convert.rows(connection, max_rows=CONVERTED)
    return await _repack(connection, rows)


async def merge_small(connection: "Connected") -> bool:
    """Merge some small batches of a closed day or hour; False if none are worth it."""
    query = engine_statements("timescale").small_batches
    for width in WIDTHS:
        if await _repack(connection, await query.rows(connection, width=width, max_readings=MERGED)):
            return True
    return False


async def _repack(connection: "Connected", rows: "Sequence[Record]") -> bool:
    """Take out the readings of some stretches, and store them anew; False if there are no stretches."""
    if not rows:
        return False
    series_ids, starts, finishes = np.array([tuple(row) for row in rows], dtype=np.int64).T
    await rewrite(connection, Windows(series_ids.astype(np.int32), starts, finishes), lambda stored: stored)
    return True
