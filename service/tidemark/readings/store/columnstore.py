"""The store on TimescaleDB: batches of up to 1,000 readings of a series in the columnstore of the table `reading`.

Only the settler calls these functions, in a repeatable read transaction. Batches of a series never overlap: TimescaleDB
trusts that when it reads a series in order of time, and every function here keeps it so. A change takes out whole
batches and appends what is to be there instead, since to change readings within a batch would unpack it.
"""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt

from tidemark.database.statements import engine_statements
from tidemark.readings.columns import Block
from tidemark.readings.copy_format import copy_payload
from tidemark.readings.store.copy_rows import block_of_rows

if TYPE_CHECKING:
    from asyncpg import Connection, Record

COPY_BYTES = 1 << 20
WEEK = 7 * 86_400 * 1_000_000
CONVERTED = 500_000
"""About how many readings `convert_some` moves."""
MERGED = 1_000_000
"""About how many readings `merge_small` merges."""
WIDTHS = (timedelta(days=1), timedelta(hours=1))
"""Small batches are merged with those of their day, or if that is not over, of their hour."""

Stretch: TypeAlias = Sequence[int] | npt.NDArray[Any]


class StoreError(Exception):
    """TimescaleDB did not store readings as it should; the transaction must be rolled back."""


@dataclass(frozen=True, slots=True)
class _Stretches:
    """Some series, each with a first and a last instant in microseconds since 1970 UTC."""

    series_ids: list[int]
    starts: list[int]
    finishes: list[int]


async def append(connection: "Connection[Any]", block: Block) -> None:
    """Store readings, distinct and sorted by (series, instant).

    No reading may be stored between the first and the last one of a series: `take_out` sees to that. Raises StoreError
    if there is one, or if TimescaleDB stored any outside batches.
    """
    if not len(block):
        return
    sql = engine_statements("timescale")
    await sql.write_batches.run(connection)
    payload = copy_payload(_by_chunk(block))
    await connection.copy_to_table("reading", source=_pieces(payload.data), columns=payload.columns, format="binary")
    held = _stretches_of(block)
    stored = await sql.readings_in_batches.value(
        connection, series_ids=held.series_ids, starts=held.starts, finishes=held.finishes
    )
    if stored != len(block):
        raise StoreError(f"The batches where {len(block)} readings were stored hold {stored}.")


async def take_out(connection: "Connection[Any]", series_ids: Stretch, starts: Stretch, finishes: Stretch) -> Block:
    """Remove the whole batches that overlap the stretches, and return their readings sorted by (series, instant).

    A stretch is a series with its first and its last instant, in microseconds since 1970 UTC. A series may have
    several. Readings in a stretch that are not in a batch are removed as well.
    """
    rows = await engine_statements("timescale").take_out_readings.copy(
        connection, series_ids=_listed(series_ids), starts=_listed(starts), finishes=_listed(finishes)
    )
    return block_of_rows(rows)


async def convert_some(connection: "Connection[Any]") -> bool:
    """Move some readings of the old shape, rows of a chunk, into batches; False if no chunk has any rows.

    Vacuum `reading` now and then, and call `finish_conversion` after the last time.
    """
    rows = await engine_statements("timescale").rows_to_convert.rows(connection, max_rows=CONVERTED)
    return await _rewrite(connection, rows)


async def finish_conversion(connection: "Connection[Any]") -> None:
    """Give back the indexes of chunks whose readings are all in batches, once they are vacuumed.

    It waits for readers of these chunks, and readers wait for it: set a `lock_timeout`.
    """
    await engine_statements("timescale").finish_conversion.run(connection)


async def merge_small(connection: "Connection[Any]") -> bool:
    """Merge some small batches of a closed day or hour; False if none are worth it."""
    query = engine_statements("timescale").small_batches
    for width in WIDTHS:
        if await _rewrite(connection, await query.rows(connection, width=width, max_readings=MERGED)):
            return True
    return False


async def _rewrite(connection: "Connection[Any]", rows: "Sequence[Record]") -> bool:
    """Take out the readings of some stretches, and append them; False if there are no stretches."""
    if rows:
        series_ids, starts, finishes = zip(*rows, strict=True)
        await append(connection, await take_out(connection, series_ids, starts, finishes))
    return bool(rows)


def _by_chunk(block: Block) -> Block:
    """The readings ordered by week first, as chunks are: a batch ends where COPY turns to another chunk."""
    weeks = block.at // WEEK
    return block if (weeks == weeks[0]).all() else block.take(np.argsort(weeks, kind="stable"))


def _stretches_of(block: Block) -> _Stretches:
    """The first and the last instant of each series of a sorted block."""
    first = np.flatnonzero(np.diff(block.series_id, prepend=block.series_id[0] - 1))
    last = np.append(first[1:], len(block)) - 1
    return _Stretches(block.series_id[first].tolist(), block.at[first].tolist(), block.at[last].tolist())


def _listed(numbers: Stretch) -> list[int]:
    listed: list[int] = np.asarray(numbers, dtype=np.int64).tolist()
    return listed


async def _pieces(data: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(data), COPY_BYTES):
        yield data[start : start + COPY_BYTES]
