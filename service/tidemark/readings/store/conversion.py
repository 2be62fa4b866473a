"""The end of a conversion: what is left of the old shape, once its readings have moved, is given back."""

from typing import TYPE_CHECKING

import asyncpg
import structlog

from tidemark.database.statements import engine_statements, statements

if TYPE_CHECKING:
    from tidemark.database.database import Connected

log = structlog.get_logger(__name__)


async def finish_conversion(connection: "Connected", engine: str) -> bool:
    """Give back the space of readings that `Store.convert_some` has moved; not in a transaction.

    True if that was the last of it. What readers are busy with just now, or may still see, is left to a later time: to
    give back the rest, readers wait for this and it for them, so it gives up after a moment.
    """
    sql = engine_statements(engine)
    if not await sql.has_old_shape.value(connection):
        return False
    await sql.vacuum_old_shape.run(connection)
    try:
        await statements().finish_conversion.run(connection)
    except asyncpg.LockNotAvailableError:
        log.info("the space of readings that have moved is given back later, it is busy")
    return not await sql.has_old_shape.value(connection)
