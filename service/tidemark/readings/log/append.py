"""Appends readings to the log: what many requests bring, single readings and blocks alike, by one COPY a commit."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from time import time_ns
from typing import TYPE_CHECKING, Any, TypeAlias

import asyncpg

from tidemark.base.errors import TidemarkError, unavailable
from tidemark.base.time import microseconds
from tidemark.base.watch import Watch
from tidemark.commit.committer import Committer
from tidemark.commit.group_commit import GroupCommit
from tidemark.database.copying import copy_in
from tidemark.database.database import Database
from tidemark.readings.columns import Block
from tidemark.readings.copy_format import has_texts
from tidemark.readings.log.attempt import Attempt, Session, end, outwait
from tidemark.readings.log.backlog import Backlog
from tidemark.readings.log.few import FEW, copied_few
from tidemark.readings.log.items import Item, OwnedBlock, OwnedReading, gathered
from tidemark.readings.log.run import COPIED, Run, copied, run_of
from tidemark.readings.reading import Reading

if TYPE_CHECKING:
    from asyncpg import Connection

Encoding: TypeAlias = Callable[[int], Awaitable[bytes]]
"""Makes the rows of a commit, given the deadline of the attempt in microseconds since 1970."""

MAX_BATCH = 15_000
"""A batch that has this many readings in blocks takes no more; larger ones would hold up the others."""
BULK_SHARE = 5
"""How many times as many readings in blocks as single ones may be pending: they take a fraction of the memory."""
BESIDE = 1_000
"""From so many on, a batch commits beside another one; single readings rather wait for a larger batch."""
LANES = 2
"""Connections that append at once: one commits while the other's readings are still on their way."""


class Appender:
    """Appends readings to the log, over some connections side by side.

    So many single readings (`max_pending`) may be pending, `BULK_SHARE` times as many in blocks, or a mixture of both;
    after that, new ones are refused.
    """

    def __init__(self, database: Database, watch: Watch, backlog: Backlog, *, max_pending: int) -> None:
        self._backlog = backlog
        self._lost: set[_Lane] = set()
        """Lanes with an attempt whose outcome is unknown while the database is out of reach."""
        self._lanes = [_Lane(database, backlog, self._lost) for _ in range(LANES)]
        self._group: GroupCommit[Item] = GroupCommit(
            [lane.append for lane in self._lanes],
            max_batch=MAX_BATCH,
            max_pending=max_pending * BULK_SHARE,
            beside=BESIDE,
            watch=watch,
            name="appender",
        )

    async def store(self, company_id: int, series_id: int, reading: Reading) -> None:
        """Store a reading of a company's series; see GroupCommit.stored."""
        self._refuse_at_once()
        await self._group.stored(OwnedReading(company_id, series_id, reading), BULK_SHARE)

    def shared_commit(self, company_id: int, series_id: int, reading: Reading) -> "asyncio.Future[None]":
        """Store a reading from the express lane; see GroupCommit.shared_commit."""
        self._refuse_at_once()
        return self._group.shared_commit(OwnedReading(company_id, series_id, reading), BULK_SHARE)

    async def store_block(self, company_id: int, block: Block) -> None:
        """Store a block of readings of a company's series; see GroupCommit.stored. Two items that wait at the same time
        commit in any order.
        """
        self._refuse_at_once()
        await self._group.stored(OwnedBlock(company_id, block), len(block))

    async def close(self) -> None:
        """Commit what was accepted, then stop."""
        await self._group.close()
        for lane in self._lanes:
            await lane.close()

    def _refuse_at_once(self) -> None:
        """Where it is known already that something cannot be stored; raises TidemarkError."""
        self._backlog.refuse_if_full()
        # What comes now need not wait with those whose outcome is unknown.
        if self._lost:
            raise unavailable("The database cannot be reached just now; send this again later.")


class _Lane:
    """One connection that appends, one run after the other."""

    def __init__(self, database: Database, backlog: Backlog, lost: "set[_Lane]") -> None:
        self._lost = lost
        self._committer = Committer(database)
        self._backlog = backlog
        self._session: Session | None = None
        self._unknown: Attempt | None = None
        """The attempt whose outcome is not known (yet)."""

    async def append(self, items: Sequence[Item]) -> None:
        """Append items in the order of their arrival; return after the commit. Raises TidemarkError once it is certain
        that whatever is written from then on wins over them.
        """
        encoding = _encoding(items)
        if encoding is None:
            return
        readings, rows = encoding
        if self._backlog.pause:
            await asyncio.sleep(self._backlog.pause)
        try:
            await self._committer.commit(partial(self._copy, rows), readings)
        except TidemarkError:
            await self._until_passed()
            raise

    async def close(self) -> None:
        """Close the connection."""
        await self._committer.close()

    async def _copy(self, rows: Encoding, connection: "Connection[Any]") -> None:
        if self._unknown is not None:
            await end(self._unknown, connection)
            self._unknown = None
        session = await self._session_on(connection)
        attempt = session.attempt()
        payload = await rows(microseconds(attempt.deadline))
        self._unknown = attempt
        try:
            await copy_in(connection, "reading_log", COPIED, payload)
        except asyncpg.PostgresError as error:
            if not isinstance(error, asyncpg.PostgresConnectionError):  # that is what the driver says of a lost one
                self._unknown = None
            raise
        self._unknown = None

    async def _session_on(self, connection: "Connection[Any]") -> Session:
        if self._session is None or not self._session.current_on(connection):
            self._session = await Session.on(connection)
        return self._session

    async def _until_passed(self) -> None:
        if self._unknown is not None:
            self._lost.add(self)
            await outwait(self._unknown)
            self._unknown = None
            self._lost.discard(self)


def _encoding(items: Sequence[Item]) -> tuple[int, Encoding] | None:
    """How many readings some items have, and what makes their rows; None if there are none. All attempts share it, so
    the readings are sorted once.
    """
    now = time_ns() // 1_000
    singles = [item for item in items if isinstance(item, OwnedReading)] if len(items) <= FEW else []
    if len(singles) == len(items):
        return len(singles), partial(_few, singles, now)
    company_id, block = gathered(items)
    return (len(block), partial(_many, run_of(company_id, block, now))) if len(block) else None


async def _few(readings: Sequence[OwnedReading], now: int, deadline: int) -> bytes:
    return copied_few(readings, now, deadline)


async def _many(run: Run, deadline: int) -> bytes:
    # Numbers take a fraction of a millisecond, less than a thread does; texts are handled one by one.
    build = partial(copied, run, deadline)
    return await asyncio.to_thread(build) if has_texts(run.block) else build()
