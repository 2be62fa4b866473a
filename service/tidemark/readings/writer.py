"""Writes single readings, in groups."""

import asyncio
from typing import TYPE_CHECKING, Any, TypeAlias

from tidemark.base.watch import Watch
from tidemark.commit.committer import Committer
from tidemark.commit.group_commit import GroupCommit
from tidemark.database.database import Database
from tidemark.database.statements import statements
from tidemark.readings.optional_columns import OPTIONAL
from tidemark.readings.reading import Reading

if TYPE_CHECKING:
    from asyncpg import Connection

MAX_BATCH = 5_000


Row: TypeAlias = tuple[Any, ...]
"""Series id, instant (microseconds since 1970 UTC), value, optional columns. The first two identify a reading."""


class Writer:
    """Stores readings that arrive one at a time, over a connection of its own."""

    def __init__(self, database: Database, watch: Watch, *, max_pending: int) -> None:
        self._committer = Committer(database)
        self._group = GroupCommit(
            [self._store], max_batch=MAX_BATCH, max_pending=max_pending, watch=watch, name="writer"
        )

    async def store(self, series_id: int, reading: Reading) -> None:
        """Store a reading of a series; see GroupCommit.stored."""
        await self._group.stored(_row(series_id, reading))

    def shared_commit(self, series_id: int, reading: Reading) -> "asyncio.Future[None]":
        """Store a reading from the express lane; see GroupCommit.shared_commit."""
        return self._group.shared_commit(_row(series_id, reading))

    async def close(self) -> None:
        """Commit what was accepted, then stop."""
        await self._group.close()
        await self._committer.close()

    async def _store(self, rows: list[Row]) -> None:
        # The last write of a (series, instant) wins. Rows are sorted, because writers could deadlock otherwise.
        last = {row[:2]: row for row in rows}
        columns: tuple[tuple[Any, ...], ...] = tuple(zip(*(last[key] for key in sorted(last)), strict=True))
        series_ids, at, values, *optional = columns

        async def write(connection: "Connection[Any]") -> None:
            await statements().write_readings.run(
                connection,
                series_ids=series_ids,
                at_us=at,
                reading_values=values,
                **{column.name: cells for column, cells in zip(OPTIONAL, optional, strict=True)},
            )

        await self._committer.commit(write, len(last))


def _row(series_id: int, reading: Reading) -> Row:
    return series_id, reading.at, reading.value, *reading.optional
