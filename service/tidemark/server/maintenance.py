"""The maintenance job, run by one session of the whole database: the one that holds the maintenance lock."""

import asyncio
import time
from datetime import UTC, datetime
from typing import Any

import structlog

from tidemark.database.database import OUTAGES, Database
from tidemark.database.statements import statements
from tidemark.readings import rollup
from tidemark.web.rollup import WebUpkeep

log = structlog.get_logger(__name__)

IDLE_SECONDS = 0.5
REST = 2
"""How many times its own duration passes after a repair before the next one, unless it has left marks over."""
TURN_SECONDS = 2.0
ABSORB_SECONDS = 60.0


async def run(database: Database, engine: str) -> None:
    """Do the job for ever, waiting for its turn and for the database as long as necessary."""
    while True:
        try:
            connection = await database.connect()
            try:
                if await statements().try_maintenance_lock.value(connection):
                    await _work(connection, engine)
            finally:
                connection.terminate()
        except OUTAGES as error:
            log.warning("maintenance interrupted", error=str(error) or type(error).__name__)
        except Exception:
            log.exception("maintenance failed; it is tried again")
        await asyncio.sleep(TURN_SECONDS)


async def _work(connection: Any, engine: str) -> None:
    absorbed_at = time.monotonic()
    web = WebUpkeep()
    while True:
        if await rollup.move_line(connection, engine, datetime.now(UTC) - rollup.GRACE):
            await rollup.prepare_storage(connection)
        more = await web.turn(connection, datetime.now(UTC))
        began = time.monotonic()
        if await rollup.repair(connection, engine) < rollup.REPAIR_BATCH and not more:
            # While late readings stream in, the same hours are marked again and again: repaired together they are
            # recomputed once, which leaves the processor to those who write and read.
            await asyncio.sleep(max(IDLE_SECONDS, REST * (time.monotonic() - began)))
        if time.monotonic() - absorbed_at > ABSORB_SECONDS and not await rollup.absorb(connection, engine):
            absorbed_at = time.monotonic()
