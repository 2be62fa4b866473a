"""Writes single readings, in groups."""

import asyncio
from typing import TYPE_CHECKING, Any, NamedTuple

from tidemark.base.watch import Watch
from tidemark.commit.committer import Committer
from tidemark.commit.group_commit import GroupCommit
from tidemark.database.database import Database
from tidemark.database.statements import statements

if TYPE_CHECKING:
    from asyncpg import Connection

MAX_BATCH = 5_000


class Reading(NamedTuple):
    """One reading of a series; (series_id, at) identifies it."""

    series_id: int
    at: int
    """Microseconds since 1970 UTC."""
    value: float
    latitude: float | None = None
    longitude: float | None = None
    x_axis_value: float | None = None
    metadata: str | None = None
    """JSON text."""


class Writer:
    """Stores readings that come one at a time, over a connection of its own."""

    def __init__(self, database: Database, watch: Watch, *, max_pending: int) -> None:
        self._committer = Committer(database)
        self._group = GroupCommit(
            [self._store], max_batch=MAX_BATCH, max_pending=max_pending, watch=watch, name="writer"
        )

    async def store(self, reading: Reading) -> None:
        """Store a reading; see GroupCommit.stored."""
        await self._group.stored(reading)

    def shared_commit(self, reading: Reading) -> "asyncio.Future[None]":
        """The same for the express lane; see GroupCommit.shared_commit."""
        return self._group.shared_commit(reading)

    async def close(self) -> None:
        """Commit what was accepted, then stop."""
        await self._group.close()
        await self._committer.close()

    async def _store(self, readings: list[Reading]) -> None:
        # The last write of a (series, instant) wins; in order, since crossing writers would deadlock otherwise.
        last = {(reading.series_id, reading.at): reading for reading in readings}
        columns: tuple[tuple[Any, ...], ...] = tuple(zip(*(last[key] for key in sorted(last)), strict=True))
        series_ids, at, values, latitudes, longitudes, x_axis_values, metadata = columns

        async def write(connection: "Connection[Any]") -> None:
            await statements().write_readings.run(
                connection,
                series_ids=series_ids,
                at_us=at,
                reading_values=values,
                latitudes=latitudes,
                longitudes=longitudes,
                x_axis_values=x_axis_values,
                metadata_texts=metadata,
            )

        await self._committer.commit(write, len(last))
