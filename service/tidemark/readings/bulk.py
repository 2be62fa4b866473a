"""Writes readings that arrive in bulk, as fast as the database accepts them.

COPY is several times as fast as an upsert but cannot overwrite. A reading that is newer than the newest stored one of
its series cannot be a duplicate, nor can one that a lookup in the table does not find. Such readings are copied
straight to their table; the others go through a staging table. If another writer has stored one of the former in the
meantime, the copy violates the primary key, and the whole batch goes through the staging table.
"""

import asyncio
from collections.abc import AsyncIterator
from functools import partial
from itertools import count
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from tidemark.base.time import HOUR, instant, microseconds
from tidemark.base.watch import Watch
from tidemark.commit.committer import Committer
from tidemark.commit.group_commit import GroupCommit
from tidemark.database.database import Database
from tidemark.database.statements import statements
from tidemark.readings.columns import Block, merged
from tidemark.readings.copy_format import copy_payload, has_texts

if TYPE_CHECKING:
    from asyncpg import Connection

MAX_BATCH = 15_000
"""Largest number of readings in one commit; larger commits would stall other writers."""
CONNECTIONS = 2
"""Connections that write at the same time: one commits while the other is still sending readings."""
REMEMBERED = 1_000_000
"""Largest number of series whose newest instant is remembered."""
COPY_BYTES = 256 * 1024
"""Bytes that are passed to the database connection at a time."""
WORTH_LOOKING = 500
"""Number of possible duplicates from which looking up the stored ones saves more than it costs."""
DENSE = 8
"""Largest number of stored readings per new one that are looked through."""


class BulkWriter:
    """Stores blocks of readings over several connections in parallel."""

    def __init__(self, database: Database, watch: Watch, *, max_pending: int) -> None:
        self._newest: dict[int, int] = {}
        self._committers = [Committer(database) for _ in range(CONNECTIONS)]
        self._group: GroupCommit[Block] = GroupCommit(
            [partial(self._store, committer) for committer in self._committers],
            max_batch=MAX_BATCH,
            max_pending=max_pending,
            watch=watch,
            name="bulk writer",
        )

    async def store(self, block: Block) -> None:
        """Store a block; see GroupCommit.stored. Two blocks that wait at the same time commit in any order."""
        await self._group.stored(block, len(block))

    async def close(self) -> None:
        """Commit what was accepted, then stop."""
        await self._group.close()
        for committer in self._committers:
            await committer.close()

    async def _store(self, committer: Committer, blocks: list[Block]) -> None:
        block = merged(blocks)
        attempts = count()

        async def write(connection: "Connection[Any]") -> None:
            # A second attempt uses the staging table, which always works.
            await self._write(connection, block, staging=next(attempts) > 0)

        await committer.commit(write, len(block))
        ends = np.flatnonzero(np.append(block.series_id[1:] != block.series_id[:-1], True))
        for series_id, at in zip(block.series_id[ends].tolist(), block.at[ends].tolist(), strict=True):
            if at > self._newest.get(series_id, -1):
                self._newest[series_id] = at

    async def _write(self, connection: "Connection[Any]", block: Block, *, staging: bool) -> None:
        sql = statements()
        if staging:
            self._newest.clear()
            new = np.zeros(len(block), dtype=bool)
        else:
            new = await self._newer(connection, block)
            if np.count_nonzero(~new) >= WORTH_LOOKING:
                new[~new] = ~await _stored(connection, block.take(~new))
        if not new.all():
            await sql.make_staging.run(connection)
        async with connection.transaction():
            line = microseconds(await sql.hold_mark_line.value(connection))
            late = block.at < line
            if late.any():
                series_ids, hours = _hours(block.take(late))
                await sql.mark_late_hours.run(connection, series_ids=series_ids, hours_us=hours)
            if new.any():
                await _copy(connection, "reading", block if new.all() else block.take(new))
            if not new.all():
                await _copy(connection, "staged_reading", block.take(~new))
                await sql.write_staged.run(connection)

    async def _newer(self, connection: "Connection[Any]", block: Block) -> npt.NDArray[np.bool_]:
        """Flags the readings that, as far as this process knows, are newer than every stored one of their series."""
        series_ids, inverse = np.unique(block.series_id, return_inverse=True)
        unknown = [one for one in series_ids.tolist() if one not in self._newest]
        if unknown:
            if len(self._newest) > REMEMBERED:
                self._newest.clear()
            rows = await statements().newest_readings.rows(connection, series_ids=unknown)
            self._newest.update(dict.fromkeys(unknown, -1))
            self._newest.update({row["series_id"]: row["at_us"] for row in rows})
        newest = np.array([self._newest.get(one, 2**62) for one in series_ids.tolist()], dtype=np.int64)
        return block.at > newest[inverse]


async def _stored(connection: "Connection[Any]", block: Block) -> npt.NDArray[np.bool_]:
    """Flags the readings of a sorted block that are stored; if far more are stored, all that might be."""
    ends = np.flatnonzero(np.append(block.series_id[1:] != block.series_id[:-1], True))
    starts = np.append(0, ends[:-1] + 1)
    limits = (ends - starts + 1) * DENSE
    rows = await statements().stored_instants.rows(
        connection,
        series_ids=block.series_id[ends].tolist(),
        first_us=block.at[starts].tolist(),
        last_us=block.at[ends].tolist(),
        max_rows=limits.tolist(),
        start=instant(int(block.at.min())),
        finish=instant(int(block.at.max())),
    )
    if not rows:
        return np.zeros(len(block), dtype=bool)
    positions, found = np.array([tuple(row) for row in rows], dtype=np.int64).T
    full: npt.NDArray[np.bool_] = np.bincount(positions, minlength=len(ends)) == limits
    # Each reading as a single number, made of the index of its series and the index of its instant in the block.
    instants, of_reading = np.unique(block.at, return_inverse=True)
    series = np.repeat(np.arange(len(ends)), ends - starts + 1)
    nearest = np.searchsorted(instants, found).clip(max=len(instants) - 1)
    same = instants[nearest] == found
    stored = np.isin(series * len(instants) + of_reading, positions[same] * len(instants) + nearest[same])
    return np.logical_or(stored, full[series])


async def _copy(connection: "Connection[Any]", table: str, block: Block) -> None:
    # Without texts, encoding takes less time than a switch to a thread.
    payload = await asyncio.to_thread(copy_payload, block) if has_texts(block) else copy_payload(block)
    await connection.copy_to_table(table, source=_pieces(payload.data), columns=payload.columns, format="binary")


def _hours(block: Block) -> tuple[list[int], list[int]]:
    """The distinct (series, hour) pairs of a block."""
    pairs = np.unique(np.stack([block.series_id.astype(np.int64), block.at // HOUR * HOUR]), axis=1)
    return pairs[0].tolist(), pairs[1].tolist()


async def _pieces(data: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(data), COPY_BYTES):
        yield data[start : start + COPY_BYTES]
