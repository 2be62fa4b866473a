"""What a restored log is worth: its order is that of transaction ids, which mean nothing in another server."""

from typing import TYPE_CHECKING

import structlog

from tidemark.database.statements import statements
from tidemark.readings.settling.turn import settle_before, store_held

if TYPE_CHECKING:
    from tidemark.database.database import Connected

log = structlog.get_logger(__name__)

ALL = 2**63 - 1
"""Greater than every transaction id."""


async def settle_restored(connection: "Connected", engine: str) -> int:
    """Settle a log that has ids which this server has yet to give, and return how many readings it had.

    A dump brings them along. What is written here would lose against them, and they would wait to be settled until the
    server has come to their ids. So this is done before anything is written. Not in a transaction.
    """
    if not await statements().is_of_another_server.value(connection):
        return 0
    async with store_held(connection):
        settled = await settle_before(connection, engine, ALL)
        await statements().begin_anew.run(connection)
    log.info("settled the log of another server", readings=settled)
    return settled
