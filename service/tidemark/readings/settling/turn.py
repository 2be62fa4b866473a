"""One turn of the settler: the oldest closed runs of the log become part of the store, in one transaction.

docs/decisions.md, "The settler", says why each of its steps stands where it does.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import structlog

from tidemark.database.statements import statements
from tidemark.readings.columns import Block, merged
from tidemark.readings.log.closing import closed_before
from tidemark.readings.log.merge import Appended
from tidemark.readings.log.rows import fetch_rows
from tidemark.readings.settling.changes import put

if TYPE_CHECKING:
    from tidemark.database.database import Connected

log = structlog.get_logger(__name__)

TURN_READINGS = 1_000_000
"""About how many readings a turn takes at most, which bounds its memory (some 200 bytes a reading) and its time."""


class Settled(NamedTuple):
    """What a turn has settled."""

    readings: int
    """With those that were overwritten since."""
    series: int
    """How many series they are of."""


@asynccontextmanager
async def store_held(connection: "Connected") -> AsyncIterator[None]:
    """Hold the lock of those who change the store, after waiting for it; not in a transaction.

    Where this is broken off, the session is ended: it may have the lock although it was never told so, and in a pool it
    would keep it.
    """
    try:
        await statements().lock_store.run(connection)
        try:
            yield
        finally:
            if not connection.is_closed():
                await statements().unlock_store.run(connection)
    except (asyncio.CancelledError, TimeoutError):
        connection.terminate()
        raise


async def settle_all(connection: "Connected", engine: str) -> int:
    """Settle everything that had committed when this was called; return how many readings that were.

    The connection holds the store, and is not in a transaction.
    """
    return await settle_before(connection, engine, await closed_before(connection))


async def settle_before(connection: "Connected", engine: str, horizon: int) -> int:
    """Settle everything below a horizon, in as many turns as it takes; return how many readings that were."""
    settled = 0
    while turn := await settle(connection, engine, horizon):
        settled += turn.readings
    return settled


async def settle(connection: "Connected", engine: str, horizon: int) -> Settled | None:
    """Settle the oldest runs below a horizon that `closed_before` has returned; None if there are none."""
    sql = statements()
    # One snapshot of log and store, taken now that the runs are closed.
    async with connection.transaction(isolation="repeatable_read"):
        runs = [Appended(*row) for row in await sql.appended_before.rows(connection, horizon=horizon)]
        if not runs:
            return None
        _check_order(runs[0].xid, await sql.settled_xid.value(connection))
        # The oldest first: what is not settled wins over what is.
        taken = _oldest(runs)
        rows = await fetch_rows(connection, runs[0].xid, taken[-1].xid)
        assert rows is not None  # the same snapshot has just listed them
        block = await _of_known_series(connection, await asyncio.to_thread(merged, [rows.block]))
        if len(block):
            await put(connection, engine, block)
        await sql.delete_runs.run(connection, first=runs[0].xid, last=taken[-1].xid)
        await sql.note_settled.run(connection, xid=taken[-1].xid)
    return Settled(sum(run.readings for run in taken), len(np.unique(block.series_id)))


def _oldest(runs: Sequence[Appended]) -> Sequence[Appended]:
    """The first runs, at least one, of not much more than `TURN_READINGS` readings together."""
    total = np.cumsum([run.readings for run in runs])
    return runs[: int(np.searchsorted(total, TURN_READINGS)) + 1]


async def _of_known_series(connection: "Connected", block: Block) -> Block:
    """The readings of a block whose sensors have not been deleted."""
    series_ids = np.unique(block.series_id)
    known = await statements().known_series.value(connection, series_ids=series_ids.tolist())
    return block if len(known) == len(series_ids) else block.take(np.isin(block.series_id, known))


def _check_order(first: int, settled: int) -> None:
    if first <= settled:
        log.error(
            "a run came after newer ones had been settled: readings that were overwritten may have come back",
            transaction=first,
            settled=settled,
        )
