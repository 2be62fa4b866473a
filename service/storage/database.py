"""Connections to the database, and the one place where its failures become errors that users see."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Any, TypeAlias

import asyncpg
import structlog

from service.errors import unavailable

if TYPE_CHECKING:
    from asyncpg import Connection, Pool
    from asyncpg.pool import PoolConnectionProxy

    Connected: TypeAlias = Connection[Any] | PoolConnectionProxy[Any]

log = structlog.get_logger(__name__)

# What says nothing of the request, only of the database's state just now: out of reach, starting, stopping, full.
OUTAGES = (
    OSError,
    asyncio.TimeoutError,
    asyncpg.InterfaceError,
    asyncpg.PostgresConnectionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.OperatorInterventionError,
    asyncpg.ReadOnlySQLTransactionError,
    asyncpg.InvalidCatalogNameError,
    asyncpg.InvalidAuthorizationSpecificationError,
)

CONNECT_SECONDS = 5.0
QUERY_SECONDS = 60.0

# jit adds more than it saves to queries of a millisecond; a plan made for the very bounds excludes chunks while planning.
_SESSION = {"application_name": "tidemark", "TimeZone": "UTC", "synchronous_commit": "on", "jit": "off"}
# Parallel workers would mix the order of rows, and on a small machine take the cores that writers need.
_QUERY_SESSION = _SESSION | {"plan_cache_mode": "force_custom_plan", "max_parallel_workers_per_gather": "0"}


@contextmanager
def outages_as_unavailable() -> Iterator[None]:
    """Turn a database that cannot be used just now into the error that asks the client to come back."""
    try:
        yield
    except OUTAGES as error:
        log.warning("database unavailable", error=str(error) or type(error).__name__)
        raise unavailable("The database cannot be reached just now; try again shortly.") from error


class Database:
    """A PostgreSQL database: a pool for queries, and single connections for those that keep one.

    Until `ready` is set, once the schema is known to be the one this version works with, every session is refused.
    """

    def __init__(self, url: str, *, connections: int = 8) -> None:
        self.url = url
        self.ready = asyncio.Event()
        self._pool: Pool[Any] = asyncpg.create_pool(
            url,
            min_size=0,
            max_size=connections,
            server_settings=_QUERY_SESSION,
            timeout=CONNECT_SECONDS,
            command_timeout=QUERY_SECONDS,
        )

    async def open(self) -> None:
        """Start the pool; this connects to nothing yet."""
        await self._pool

    async def connect(self) -> "Connection[Any]":
        """Open a connection of one's own; it has no time limit on commands. Raises what `OUTAGES` names."""
        connection: Connection[Any] = await asyncpg.connect(
            self.url, server_settings=_SESSION, timeout=CONNECT_SECONDS
        )
        return connection

    @asynccontextmanager
    async def session(self) -> AsyncIterator["Connected"]:
        """A connection of the pool for queries; outages surface as `unavailable`."""
        if not self.ready.is_set():
            raise unavailable("The database is not ready yet; try again shortly.")
        with outages_as_unavailable():
            async with self._pool.acquire(timeout=QUERY_SECONDS) as connection:
                yield connection

    async def close(self) -> None:
        """Close the pool; queries under way are given a moment to end."""
        try:
            await asyncio.wait_for(self._pool.close(), 2)
        except (TimeoutError, *OUTAGES):
            self._pool.terminate()
