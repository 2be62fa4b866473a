"""Which runs are closed: no run with a smaller transaction id will ever appear in the log."""

import asyncio
from typing import TYPE_CHECKING

import structlog

from tidemark.database.statements import statements

if TYPE_CHECKING:
    from tidemark.database.database import Connected

log = structlog.get_logger(__name__)

POLL_SECONDS = 0.002
PATIENCE_SECONDS = 60.0
"""Who writes to the log for longer than this, many times as long as an append may take, is ended."""


async def closed_before(connection: "Connected") -> int:
    """Wait until every transaction below a horizon has ended that writes to the log, and return the horizon.

    A snapshot taken later sees all runs with a smaller `xid` that there will ever be. Not in a transaction, whose
    snapshot would be older. That no other session of the database is waited for, and no writer waits, rests on the
    order in which an append does things: it locks the log before it has an id (COPY is its first statement) and keeps
    that lock to its end. Those with ids below the horizon have them already when it is read, so they are among the
    writers listed after that.

    Writers that do not end within `PATIENCE_SECONDS` are those whose client has stopped while it sent; their sessions
    are ended.
    """
    horizon = int(await statements().log_horizon.value(connection))
    writing = await _writers(connection)
    loop = asyncio.get_running_loop()
    give_up = loop.time() + PATIENCE_SECONDS
    while writing:
        await asyncio.sleep(POLL_SECONDS)
        if loop.time() > give_up:
            log.warning("writers that do not end are ended", writers=len(writing))
            await statements().end_log_writers.run(connection, transactions=list(writing))
            give_up = loop.time() + PATIENCE_SECONDS
        writing &= await _writers(connection)
    return horizon


async def _writers(connection: "Connected") -> set[str]:
    return {row["transaction"] for row in await statements().log_writers.rows(connection)}
