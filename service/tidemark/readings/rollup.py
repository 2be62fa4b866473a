"""Keeps hourly and daily roll-ups exact and up to date; see docs/decisions.md, "Exact statistics".

The maintenance job advances the lines every hour, repairs hours within about a second of late readings and, on
TimescaleDB, lets refreshes absorb old repairs.
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
REPAIR_BATCH = 5000


def _floor_hour(moment: datetime) -> datetime:
    return moment.astimezone(UTC).replace(minute=0, second=0, microsecond=0)


def _floor_day(moment: datetime) -> datetime:
    return _floor_hour(moment).replace(hour=0)


async def move_line(connection: "Connected", engine: str, line: datetime) -> bool:
    """Roll up all hours before `line` (truncated to the hour) and let readers use them; False if they do already.

    The connection must not be in a transaction.
    """
    sql, of_engine = statements(), engine_statements(engine)
    lines = await sql.rollup_lines.row(connection)
    assert lines is not None  # a migration inserts the row
    start, finish = lines["read_line"], max(_floor_hour(line), lines["mark_line"])
    if start == finish:
        return False
    async with connection.transaction():
        await sql.lock_mark_line.run(connection)
        await sql.move_mark_line.run(connection, line=finish)
    # From here on, any new reading before `finish` marks its hour; all earlier ones are visible.
    await of_engine.roll_up_hours.run(connection, start=start, finish=finish)
    first_day, last_day = _floor_day(start), _floor_day(finish)
    if first_day < last_day:
        await of_engine.roll_up_days.run(connection, start=first_day, finish=last_day)
        await of_engine.settle_repaired_days.run(connection, start=first_day, finish=last_day)
    await sql.move_read_line.run(connection, line=finish)
    log.info("rolled up", start=start.isoformat(), finish=finish.isoformat())
    return True


async def repair(connection: "Connected", engine: str) -> int:
    """Recompute hours that changed after they were rolled up; returns the number of marks settled."""
    # Repeatable read uses one snapshot for planning and execution. With two, the plan would miss a chunk created
    # between them, and the marks that came with it would be deleted without counting its readings.
    async with connection.transaction(isolation="repeatable_read"):
        return await repair_in_snapshot(connection, engine)


async def repair_in_snapshot(connection: "Connected", engine: str) -> int:
    """Do the same within the repeatable read transaction that the connection is in."""
    settled: int = await engine_statements(engine).repair_late_hours.value(connection, max_rows=REPAIR_BATCH)
    return settled


async def absorb(connection: "Connected", engine: str) -> bool:
    """Refresh one week that has many or old repairs, and remove these; False if there is no such week."""
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
