"""A connection that commits: opened anew when it is lost, its work tried again where that may help."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import asyncpg
import structlog

from service.errors import unavailable
from service.storage.database import OUTAGES, Database
from service.storage.statements import statements

if TYPE_CHECKING:
    from asyncpg import Connection

    Work: TypeAlias = Callable[[Connection[Any]], Awaitable[None]]

log = structlog.get_logger(__name__)

ATTEMPTS = 4
COMMIT_SECONDS = 30.0
"""How long one commit may take before its readings are given up (and sent again by their gateways)."""
RETRY_AFTER = 1

# What may pass when the same work is done again: crossing writers, a key that another writer was first to store.
_PASSING = (asyncpg.DeadlockDetectedError, asyncpg.SerializationError, asyncpg.UniqueViolationError)


class Committer:
    """One connection of a writer's own."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._connection: Connection[Any] | None = None

    async def commit(self, work: "Work", at_us: Sequence[int]) -> None:
        """Do work that ends in a commit, for readings at these instants (microseconds since 1970 UTC).

        The work is done again where that may help, so it must be harmless when repeated. Raises TidemarkError where it
        could not be done.
        """
        if not self._database.ready.is_set():
            raise unavailable("The database is not ready yet; send this again later.", RETRY_AFTER)
        missing_partition = False
        for attempt in range(1, ATTEMPTS + 1):
            try:
                async with asyncio.timeout(COMMIT_SECONDS):
                    if self._connection is None or self._connection.is_closed():
                        self._connection = await self._database.connect()
                    if missing_partition:
                        await statements().prepare_reading_storage.run(self._connection, at_us=at_us)
                    await work(self._connection)
            except asyncpg.CheckViolationError:
                # The only check there is: no partition of the table is for one of these instants yet. When another
                # process makes it at this moment, this connection's server process has been seen to go on without it;
                # a new connection knows it.
                missing_partition = True
                self._drop_connection()
                log.info("a partition is missing", attempt=attempt, readings=len(at_us))
            except _PASSING as error:
                log.info("commit is tried again", attempt=attempt, readings=len(at_us), error=str(error))
            except OUTAGES as error:
                # Whether an interrupted commit took place does not matter: doing it again changes nothing.
                self._drop_connection()
                log.warning("commit failed", attempt=attempt, readings=len(at_us), error=str(error) or repr(error))
                if isinstance(error, OSError):
                    break  # there is no server to try again with; a TimeoutError is one too
            except Exception:
                self._drop_connection()
                log.exception("commit failed", attempt=attempt, readings=len(at_us))
                break
            else:
                return
        raise unavailable("The readings could not be stored just now; send them again later.", RETRY_AFTER)

    async def close(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            await self._connection.close(timeout=1)

    def _drop_connection(self) -> None:
        if self._connection is not None:
            self._connection.terminate()
            self._connection = None
