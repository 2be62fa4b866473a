"""Deleting readings: what was written before is settled first, so that nothing of it comes back."""

from tidemark.base.time import Window
from tidemark.database.database import Database
from tidemark.database.statements import engine_statements
from tidemark.readings.settling.changes import delete
from tidemark.readings.settling.turn import settle_all, store_held
from tidemark.readings.store.engines import STORES


async def delete_readings(database: Database, series_id: int, window: Window) -> int:
    """Delete a series' readings in a window; return how many. Statistics are exact as soon as this returns.

    Readings that are written meanwhile may be spared. Raises TidemarkError if the database is unavailable.
    """
    store, of_engine = STORES[database.engine], engine_statements(database.engine)
    async with database.session() as connection, store_held(connection):
        await settle_all(connection, store, of_engine)
        async with connection.transaction(isolation="repeatable_read"):
            return await delete(connection, store, of_engine, series_id, window)
