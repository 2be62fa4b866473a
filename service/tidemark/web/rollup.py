"""The maintenance job's work for web analytics: rolls up the days of sites that have ended, destroys the keys of
visitors, and deletes what the collector has counted for its limits.

The protocol: docs/decisions.md, "Exact web analytics".
"""

import math
import time
from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import structlog

from tidemark.base.time import enclosing
from tidemark.database.statements import statements

if TYPE_CHECKING:
    from tidemark.database.database import Connected

log = structlog.get_logger(__name__)

GRACE = timedelta(minutes=5)
"""How long a day stays open after the site's midnight, for records that are still on their way."""
LINES_SECONDS = 30.0
SITES_AT_ONCE = 100
"""Number of sites rolled up in one turn, so that late records need not wait for all of them."""
SETTLED_AT_ONCE = 5000


async def move_lines(connection: "Connected", now: datetime) -> int:
    """Roll up the days that have ended, of at most SITES_AT_ONCE sites; returns the number of sites that had any."""
    sql = statements()
    await sql.make_web_lines.run(connection)
    due: dict[int, date] = {}
    for row in await sql.web_lines.rows(connection):
        today = max((now - GRACE).astimezone(ZoneInfo(row["timezone"])).date(), row["mark_day"])
        if row["read_day"] < today:
            due[row["site_number"]] = today
    due = dict(list(due.items())[:SITES_AT_ONCE])
    if not due:
        return 0
    async with connection.transaction():
        await sql.lock_web_lines.run(connection)
        await sql.move_web_mark_days.run(connection, site_numbers=list(due), days=list(due.values()))
    # From here on, records that still arrive for those days leave marks; earlier records are visible.
    for site_number, today in due.items():
        async with connection.transaction():
            line = await sql.hold_web_line.row(connection, site_number=site_number)
            if line is not None:
                await _roll_up_until(connection, site_number, line["read_day"], today)
    log.info("rolled up site days", sites=len(due))
    return len(due)


async def settle_marks(connection: "Connected") -> int:
    """Roll up again the days of one site for which records arrived later; returns the number of days."""
    sql = statements()
    site_number = await sql.any_web_late_mark.value(connection)
    if site_number is None:
        return 0
    # The marks are taken before the records are read, so the records that left them are all visible.
    async with connection.transaction():
        if await sql.hold_web_line.row(connection, site_number=site_number) is None:
            return 0
        rows = await sql.settle_web_late_marks.rows(connection, site_number=site_number, max_rows=SETTLED_AT_ONCE)
        await _roll_up(connection, site_number, [row["day"] for row in rows])
        await _sum_up(connection, site_number)
    return len(rows)


class WebUpkeep:
    """What the maintenance job does for web analytics in each turn."""

    def __init__(self) -> None:
        self._moved_at = -math.inf

    async def turn(self, connection: "Connected", now: datetime) -> bool:
        """Do what is due; returns True if there may be more to do right away."""
        if time.monotonic() - self._moved_at >= LINES_SECONDS:
            self._moved_at = time.monotonic()
            await statements().destroy_visitor_keys.run(connection)
            await statements().forget_collected.run(connection)
            if await move_lines(connection, now) == SITES_AT_ONCE:
                self._moved_at = -math.inf  # there may be more
        return await settle_marks(connection) > 0


async def _roll_up_until(connection: "Connected", site_number: int, first: date, today: date) -> None:
    start, _ = enclosing([first])
    rows = await statements().web_days_to_roll_up.rows(
        connection, site_number=site_number, start=start, first_day=first, before_day=today
    )
    await _roll_up(connection, site_number, [row["day"] for row in rows])
    await statements().move_web_read_day.run(connection, site_number=site_number, day=today)
    await _sum_up(connection, site_number)


async def _roll_up(connection: "Connected", site_number: int, days: Sequence[date]) -> None:
    if days:
        start, finish = enclosing(days)
        of = {"site_number": site_number, "days": list(days), "start": start, "finish": finish}
        await statements().roll_up_web_days.run(connection, **of)
        await statements().roll_up_web_facets.run(connection, **of)


async def _sum_up(connection: "Connected", site_number: int) -> None:
    """Recompute the sums of the days before the read day."""
    await statements().forget_web_recent_facets.run(connection, site_number=site_number)
    await statements().sum_up_web_recent_facets.run(connection, site_number=site_number)
