"""Group commit: readings of many requests go to the database together, and each request hears of it after the commit.

While one batch commits, whatever arrives is gathered; it is the next batch. So a lone reading waits for nobody, and a
thousand gateways share each commit.
"""

import asyncio
from typing import TYPE_CHECKING, Any, NamedTuple

import asyncpg
import structlog

from service.errors import TidemarkError, unavailable
from service.storage.database import OUTAGES, Database
from service.storage.statements import statements

if TYPE_CHECKING:
    from asyncpg import Connection

log = structlog.get_logger(__name__)

COMMIT_SECONDS = 30.0
"""How long one commit may take before its readings are given up (and sent again by their gateways)."""
ATTEMPTS = 4
RETRY_AFTER = 1

# What may pass when the same batch is sent again: crossing writers, a server that went away.
_TRANSIENT = (asyncpg.DeadlockDetectedError, asyncpg.SerializationError, *OUTAGES)


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


class _Batch:
    """Readings that commit together, and the future that all their requests wait for."""

    __slots__ = ("committed", "readings")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.readings: list[Reading] = []
        self.committed: asyncio.Future[None] = loop.create_future()


class Writer:
    """Commits readings in groups over one connection of its own, which it opens anew when it is lost."""

    def __init__(self, database: Database, *, max_pending: int) -> None:
        self._database = database
        self._max_pending = max_pending
        self._connection: Connection[Any] | None = None
        self._loop = asyncio.get_running_loop()
        self._open = _Batch(self._loop)
        self._committing = 0
        self._arrived = asyncio.Event()
        self._closing = False
        self._task = self._loop.create_task(self._run(), name="writer")
        self.batches = 0
        self.readings = 0

    @property
    def pending(self) -> int:
        """Readings that are accepted and not yet committed."""
        return len(self._open.readings) + self._committing

    def write(self, reading: Reading) -> "asyncio.Future[None]":
        """Accept a reading for the next batch.

        The future is shared by the batch: do not cancel it. It is done once the reading is durable, and fails with
        TidemarkError where it could not be stored. Raises TidemarkError at once where too many are pending.
        """
        if self.pending >= self._max_pending or self._closing:
            raise unavailable("Too many readings are waiting to be stored; send this one again later.", RETRY_AFTER)
        batch = self._open
        batch.readings.append(reading)
        self._arrived.set()
        return batch.committed

    async def close(self) -> None:
        """Commit what was accepted, then stop; further readings are refused."""
        self._closing = True
        self._arrived.set()
        await self._task

    async def _run(self) -> None:
        while True:
            await self._arrived.wait()
            self._arrived.clear()
            batch, self._open = self._open, _Batch(self._loop)
            if batch.readings:
                await self._commit(batch)
            if self._closing and not self._open.readings:
                break
            if self._open.readings:
                self._arrived.set()
        if self._connection is not None:
            await self._connection.close(timeout=1)

    async def _commit(self, batch: _Batch) -> None:
        self._committing = len(batch.readings)
        # The last write of a (series, instant) wins; in order, since crossing writers would deadlock otherwise.
        last = {(reading.series_id, reading.at): reading for reading in batch.readings}
        columns = tuple(zip(*(last[key] for key in sorted(last)), strict=True))
        try:
            await self._store(columns)
        except TidemarkError as error:
            batch.committed.set_exception(error)
            batch.committed.exception()  # their requests may have gone; that is no reason to complain
        else:
            self.batches += 1
            self.readings += len(batch.readings)
            batch.committed.set_result(None)
        finally:
            self._committing = 0

    async def _store(self, columns: tuple[tuple[Any, ...], ...]) -> None:
        if not self._database.ready.is_set():
            raise unavailable("The database is not ready yet; send this reading again later.", RETRY_AFTER)
        write = statements().write_readings
        for attempt in range(1, ATTEMPTS + 1):
            try:
                if self._connection is None or self._connection.is_closed():
                    self._connection = await self._database.connect()
                await self._connection.fetchval(write.text, *columns, timeout=COMMIT_SECONDS)
            except asyncpg.CheckViolationError:
                # The only check there is: no partition of the table is for one of these instants yet.
                assert self._connection is not None  # the violation came over it
                await statements().prepare_reading_storage.run(self._connection, at_us=columns[1])
            except _TRANSIENT as error:
                # Whether an interrupted commit took place does not matter: sending it again changes nothing.
                if not isinstance(error, asyncpg.PostgresError):
                    self._drop_connection()
                log.warning("batch not stored", attempt=attempt, readings=len(columns[0]), error=str(error))
                if attempt == ATTEMPTS or isinstance(error, OSError | TimeoutError):
                    break
            except Exception:
                self._drop_connection()
                log.exception("batch not stored", attempt=attempt, readings=len(columns[0]))
                break
            else:
                return
        raise unavailable("The reading could not be stored just now; send it again later.", RETRY_AFTER)

    def _drop_connection(self) -> None:
        if self._connection is not None:
            self._connection.terminate()
            self._connection = None
