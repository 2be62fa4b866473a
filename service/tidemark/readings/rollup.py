"""Keeps hourly and daily roll-ups up to date; see docs/decisions.md, "Exact statistics".

Hours are rolled up when they have ended. What is settled later recomputes its hours by itself
(`tidemark.readings.settling.changes`); on TimescaleDB, refreshes absorb these repairs.
"""

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import asyncpg
import structlog

from tidemark.database.statements import engine_statements, statements

if TYPE_CHECKING:
    from tidemark.database.database import Connected

log = structlog.get_logger(__name__)

GRACE = timedelta(minutes=5)
"""How long after its end an hour is rolled up, to leave time for readings that arrive without much delay."""


def line_at(now: datetime) -> datetime:
    """The end of the last hour that is to be rolled up by now."""
    return _floor_hour(now - GRACE)


def _floor_hour(moment: datetime) -> datetime:
    return moment.astimezone(UTC).replace(minute=0, second=0, microsecond=0)


def _floor_day(moment: datetime) -> datetime:
    return _floor_hour(moment).replace(hour=0)


async def move_line(connection: "Connected", engine: str, line: datetime) -> bool:
    """Roll up all hours before `line`, a whole hour, and let readers use them; False if they do already.

    The connection holds the store, and is not in a transaction.
    """
    of_engine = engine_statements(engine)
    start: datetime = await statements().read_line.value(connection)
    if line <= start:
        return False
    await of_engine.roll_up_hours.run(connection, start=start, finish=line)
    first_day, last_day = _floor_day(start), _floor_day(line)
    if first_day < last_day:
        await of_engine.roll_up_days.run(connection, start=first_day, finish=last_day)
        await of_engine.settle_repaired_days.run(connection, start=first_day, finish=last_day)
    await statements().move_read_line.run(connection, line=line)
    log.info("rolled up", start=start.isoformat(), finish=line.isoformat())
    return True


async def absorb(connection: "Connected", engine: str) -> bool:
    """Refresh one week that has many or old repairs, and remove these; False if there is no such week.

    The connection holds the store, and is not in a transaction.
    """
    of_engine = engine_statements(engine)
    found = await of_engine.absorbable_window.row(connection)
    if found is None:
        return False
    start, finish = found["start"], found["start"] + timedelta(days=7)
    await of_engine.roll_up_hours.run(connection, start=start, finish=finish)
    await of_engine.roll_up_days.run(connection, start=start, finish=finish)
    await of_engine.forget_absorbed.run(connection, start=start, finish=finish)
    log.info("absorbed repairs", start=start.isoformat(), finish=finish.isoformat())
    return True


async def prepare_storage(connection: Any) -> None:
    """Prepare storage for readings of the coming months, or leave it to a later run if the table is busy.

    Storage is prepared a year ahead, which leaves plenty of time to find the table free for a moment.
    """
    try:
        await statements().prepare_storage.run(connection)
    except asyncpg.LockNotAvailableError:
        log.info("storage for the coming months is left to a later run, the table is busy")
