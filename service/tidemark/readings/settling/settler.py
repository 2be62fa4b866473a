"""The settler's work, in the order of its urgency: what it does next, and when."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import structlog

from tidemark.database.statements import statements
from tidemark.readings import rollup
from tidemark.readings.log.backlog import SLOW_FROM
from tidemark.readings.log.closing import closed_before
from tidemark.readings.log.merge import SMALL_ROW
from tidemark.readings.settling.merging import merge_runs
from tidemark.readings.settling.turn import settle, settle_all, store_held
from tidemark.readings.store.conversion import finish_conversion
from tidemark.readings.store.engines import STORES

if TYPE_CHECKING:
    from asyncpg import Record

    from tidemark.database.database import Connected

log = structlog.get_logger(__name__)

SETTLED_AT_ONCE = 250_000
"""From this many unsettled readings on they are settled: fewer make small pieces, more make readers slow."""
OF_A_SERIES = 10
"""Where there are many series, that many of each, since pieces are of one series,"""
AT_MOST = 1_000_000
"""but no more than this."""
SETTLE_SECONDS = 20.0
"""After this time they are settled, however few they are."""
SMALL_ROWS = 100
"""From this many small rows in the log on they are merged."""
IDLE_SECONDS = 0.2
VACUUM_EVERY = 8
"""After so many steps of moving readings of an older version, those that have moved are vacuumed."""
ABSORB_SECONDS = 60.0
SHRINK_BYTES = 64 * 1024 * 1024
"""A log that has drained gives its space back if it takes up more than this,"""
SHRINK_SECONDS = 60.0
"""asked for no more often than this: an old snapshot, or readers that do not pause, may keep it from doing so."""
FORGOTTEN_AT_ONCE = 1_000


def worth_settling(series: int) -> int:
    """So many unsettled readings are worth settling at once, if they are of that many series."""
    return min(max(SETTLED_AT_ONCE, OF_A_SERIES * series), AT_MOST)


class Settler:
    """One session of the whole database: it alone settles, rolls up and tidies the store."""

    def __init__(self, connection: "Connected", engine: str, max_unsettled: int) -> None:
        """Writers slow down before `max_unsettled` readings wait to be settled."""
        self._connection = connection
        self._engine = engine
        self._store = STORES[engine]
        self._settled_at = self._absorbed_at = time.monotonic()
        self._may_shrink_at = self._settled_at
        self._at_most = int(max_unsettled * SLOW_FROM)
        self._worth_settling = min(worth_settling(0), self._at_most)
        self._may_tidy = True
        self._conversions = 0

    async def run(self) -> None:
        """Work for ever. Raises what the database raises."""
        while True:
            if not await self.step(datetime.now(UTC)):
                await asyncio.sleep(IDLE_SECONDS)

    async def step(self, now: datetime) -> bool:
        """Do what is most urgent; return whether there may be more to do at once."""
        unsettled = await statements().unsettled.row(self._connection)
        assert unsettled is not None  # an aggregate has one row
        return (
            await self._close_hours(now)
            or await self._settle(unsettled)
            or await self._merge(unsettled)
            or await self._forget()
            or await self._absorb()
            or await self._tidy()
            or await self._shrink(unsettled)
        )

    async def _close_hours(self, now: datetime) -> bool:
        line = rollup.line_at(now)
        if line <= await statements().read_line.value(self._connection):
            return False
        async with store_held(self._connection):
            # The roll-ups then have nearly everything; what they lack is found in the log until it is settled.
            await settle_all(self._connection, self._engine)
            await rollup.move_line(self._connection, self._engine, line)
        await rollup.prepare_storage(self._connection)
        await self._after_settling()
        self._may_tidy = True
        return True

    async def _settle(self, unsettled: "Record") -> bool:
        waited = time.monotonic() - self._settled_at
        if not unsettled["readings"]:
            self._settled_at = time.monotonic()
            return False
        if unsettled["readings"] < self._worth_settling and waited < SETTLE_SECONDS:
            return False
        began = time.monotonic()
        async with store_held(self._connection):
            horizon = await closed_before(self._connection)
            settled = await settle(self._connection, self._engine, horizon)
        await self._after_settling()
        if settled is None:
            return False
        self._worth_settling = min(worth_settling(settled.series), self._at_most)
        log.debug("settled", **settled._asdict(), seconds=round(time.monotonic() - began, 3))
        return True

    async def _after_settling(self) -> None:
        self._settled_at = time.monotonic()
        await statements().vacuum_log.run(self._connection)

    async def _merge(self, unsettled: "Record") -> bool:
        if unsettled["rows"] < SMALL_ROWS or unsettled["readings"] >= SMALL_ROW * unsettled["rows"]:
            return False
        async with store_held(self._connection):
            merged = await merge_runs(self._connection, await closed_before(self._connection))
        if merged:
            await statements().vacuum_log.run(self._connection)
        return False  # what is left needs more readings beside it first

    async def _forget(self) -> bool:
        rows = await statements().forgotten_series.rows(self._connection, max_rows=FORGOTTEN_AT_ONCE)
        if not rows:
            return False
        series_ids = [row["series_id"] for row in rows]
        async with store_held(self._connection), self._connection.transaction(isolation="repeatable_read"):
            await statements().forget_series.run(self._connection, series_ids=series_ids)
        log.info("deleted readings of deleted sensors", sensors=len(series_ids))
        return True

    async def _absorb(self) -> bool:
        if time.monotonic() - self._absorbed_at < ABSORB_SECONDS:
            return False
        async with store_held(self._connection):
            absorbed = await rollup.absorb(self._connection, self._engine)
        if not absorbed:
            self._absorbed_at = time.monotonic()
        return absorbed

    async def _tidy(self) -> bool:
        """Look for what is worth it when an hour has closed, not at each step."""
        if self._may_tidy:
            self._may_tidy = await self._convert() or await self._changed_store(self._store.merge_small)
            if not self._may_tidy:
                await self._finish_conversion()
        return self._may_tidy

    async def _convert(self) -> bool:
        if not await self._changed_store(self._store.convert_some):
            return False
        if not self._conversions:
            log.info("moving readings of an older version into the new store")
        # Rows that have moved are looked through again and again, until they are vacuumed.
        self._conversions += 1
        if self._conversions % VACUUM_EVERY == 0:
            await self._finish_conversion()
        return True

    async def _finish_conversion(self) -> None:
        if await finish_conversion(self._connection, self._engine):
            log.info("readings of an older version have moved into the new store")

    async def _changed_store(self, change: "Callable[[Connected], Awaitable[bool]]") -> bool:
        async with store_held(self._connection), self._connection.transaction(isolation="repeatable_read"):
            return await change(self._connection)

    async def _shrink(self, unsettled: "Record") -> bool:
        if unsettled["readings"] or unsettled["bytes"] < SHRINK_BYTES or time.monotonic() < self._may_shrink_at:
            return False
        self._may_shrink_at = time.monotonic() + SHRINK_SECONDS
        await statements().shrink_log.run(self._connection)
        left = await statements().unsettled.row(self._connection)
        assert left is not None  # an aggregate has one row
        log.info("gave back space of the log", bytes=unsettled["bytes"] - left["bytes"], left=left["bytes"])
        return False
