"""Hearing of changes to the catalog, and forgetting what they make wrong.

A change is answered after all processes have heard of it (`tidemark.database.announcements`), so a revoked token or a
deleted sensor is refused by every one of them from then on.
"""

import asyncio

import structlog

from tidemark.catalog.memory import Memory
from tidemark.database.announcements import PULSE_SECONDS, Listener
from tidemark.database.database import OUTAGES, Database

log = structlog.get_logger(__name__)


async def hear(database: Database, memory: Memory) -> None:
    """Hear announcements for ever; nothing is remembered while there is no connection to hear them on."""
    while True:
        try:
            await database.ready.wait()
            await _hear(database, memory)
        except OUTAGES as error:
            log.warning("announcements interrupted", error=str(error) or type(error).__name__)
        except Exception:
            log.exception("hearing announcements failed; it is tried again")
        finally:
            memory.end()
        await asyncio.sleep(PULSE_SECONDS)


async def _hear(database: Database, memory: Memory) -> None:
    connection = await database.connect()
    try:
        listener = Listener(connection, memory.forget)
        await listener.begin()
        memory.begin()
        while True:
            await listener.answer()
    finally:
        connection.terminate()
