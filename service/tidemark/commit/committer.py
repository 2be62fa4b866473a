"""A database connection for a writer: reopened when it is lost, and its work retried where that may help."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, TypeAlias

import asyncpg
import structlog

from tidemark.base.errors import unavailable
from tidemark.database.database import OUTAGES, Database

if TYPE_CHECKING:
    from asyncpg import Connection

    Work: TypeAlias = Callable[[Connection[Any]], Awaitable[None]]

log = structlog.get_logger(__name__)

ATTEMPTS = 4
COMMIT_SECONDS = 30.0
"""How long an attempt may take before its records are refused, for their gateways to send again."""
CLOSE_SECONDS = 1.0

# Errors that the same work may not meet again: crossing writers, a key that another writer stored first, a lock that is
# held for long.
_TRANSIENT = (
    asyncpg.DeadlockDetectedError,
    asyncpg.LockNotAvailableError,
    asyncpg.SerializationError,
    asyncpg.UniqueViolationError,
)


class Committer:
    """A writer's own connection; `noun` is what error messages call its records."""

    def __init__(self, database: Database, noun: str = "readings") -> None:
        self._database = database
        self._noun = noun
        self._connection: Connection[Any] | None = None

    async def commit(self, work: "Work", records: int) -> None:
        """Do work that ends in a commit and stores this many records.

        The work may be done more than once, so repeating it must be harmless. Raises TidemarkError if it could not be
        done.
        """
        if not self._database.ready.is_set():
            raise unavailable("The database is not ready yet; send this again later.")
        for attempt in range(1, ATTEMPTS + 1):
            try:
                async with asyncio.timeout(COMMIT_SECONDS):
                    if self._connection is None or self._connection.is_closed():
                        self._connection = await self._database.connect()
                    await work(self._connection)
            except _TRANSIENT as error:
                log.info("retrying commit", attempt=attempt, records=records, error=str(error))
            except OUTAGES as error:
                # Whether an interrupted commit took place does not matter: repeating it changes nothing.
                self._drop_connection()
                log.warning("commit failed", attempt=attempt, records=records, error=str(error) or repr(error))
                if isinstance(error, OSError):
                    break  # there is no server to retry with; a TimeoutError is an OSError too
            except Exception:
                self._drop_connection()
                log.exception("commit failed", attempt=attempt, records=records)
                break
            else:
                return
        raise unavailable(f"The {self._noun} could not be stored just now; send them again later.")

    async def close(self) -> None:
        """Close the connection, or drop it if it does not close in time or its server has gone."""
        if self._connection is None:
            return
        try:
            await self._connection.close(timeout=CLOSE_SECONDS)
        except OUTAGES as error:
            self._drop_connection()
            log.warning("connection not closed properly", error=str(error) or repr(error))

    def _drop_connection(self) -> None:
        if self._connection is not None:
            self._connection.terminate()
            self._connection = None
