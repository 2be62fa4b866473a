"""Writes what pages send, in groups."""

import asyncio
from datetime import date
from typing import TYPE_CHECKING, Any, NamedTuple
from uuid import UUID

from service.ingest.committing import Committer
from service.ingest.group_commit import GroupCommit
from service.storage.database import Database
from service.storage.statements import statements
from service.watch import Watch

if TYPE_CHECKING:
    from asyncpg import Connection

MAX_BATCH = 5_000


class WebRecord(NamedTuple):
    """A page view, custom event or leaving; (site_number, at, id) identifies it."""

    site_number: int
    at: int
    """Microseconds since 1970 UTC."""
    id: int
    """Random, 63 bits."""
    day: date
    """The site's day."""
    visitor: UUID
    kind: str
    pathname: str
    event: str | None = None
    referrer: str | None = None
    browser: str | None = None
    country: str | None = None


class WebWriter:
    """Stores records that come one at a time, over a connection of its own."""

    def __init__(self, database: Database, watch: Watch, *, max_pending: int) -> None:
        self._committer = Committer(database, "records")
        self._group = GroupCommit(
            [self._store],
            max_batch=MAX_BATCH,
            max_pending=max_pending,
            watch=watch,
            name="web writer",
            noun="records",
        )

    def write(self, record: WebRecord) -> "asyncio.Future[None]":
        """Accept a record; see GroupCommit.write."""
        return self._group.write(record)

    async def close(self) -> None:
        """Commit what was accepted, then stop."""
        await self._group.close()
        await self._committer.close()

    async def _store(self, records: list[WebRecord]) -> None:
        columns: tuple[tuple[Any, ...], ...] = tuple(zip(*sorted(records), strict=True))

        async def write(connection: "Connection[Any]") -> None:
            await connection.fetchval(statements().write_web_records.text, *columns)

        await self._committer.commit(write, len(records))
