"""Deleting readings: what was written before is settled first, so that nothing of it comes back."""

from typing import TYPE_CHECKING

from tidemark.base.time import Window
from tidemark.database.database import Database
from tidemark.readings.settling.changes import delete
from tidemark.readings.settling.turn import settle_all, store_held

if TYPE_CHECKING:
    from tidemark.database.database import Connected


async def delete_readings(database: Database, series_id: int, window: Window) -> int:
    """Delete a series' readings in a window; return how many. Statistics are exact as soon as this returns.

    Readings that are written meanwhile may be spared. Raises TidemarkError if the database is unavailable.
    """
    async with database.session() as connection:
        return await delete_settled(connection, database.engine, series_id, window)


async def delete_settled(connection: "Connected", engine: str, series_id: int, window: Window) -> int:
    """The same over a connection that is not in a transaction."""
    async with store_held(connection):
        await settle_all(connection, engine)
        async with connection.transaction(isolation="repeatable_read"):
            return await delete(connection, engine, series_id, window)
