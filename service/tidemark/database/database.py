"""Connections to the database, and the one place where its failures become errors that users see."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Any, TypeAlias
from weakref import WeakValueDictionary

import asyncpg
import structlog

from tidemark.base.errors import TidemarkError, unavailable

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
    asyncpg.InternalClientError,
    asyncpg.PostgresConnectionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.OperatorInterventionError,
    asyncpg.ReadOnlySQLTransactionError,
    asyncpg.TransactionRollbackError,
    asyncpg.InvalidCatalogNameError,
    asyncpg.InvalidAuthorizationSpecificationError,
)

CONNECT_SECONDS = 5.0
QUERY_SECONDS = 60.0
ACQUIRE_SECONDS = 10.0
"""How long a request waits for its turn with the database before it is asked to come back."""

SESSION = {
    "application_name": "tidemark",
    "TimeZone": "UTC",
    "synchronous_commit": "on",
    # Writers read the mark line in a statement after the one that locks it, and must see it as it is then.
    "default_transaction_isolation": "read committed",
}
QUERY_SESSION = SESSION | {
    # One snapshot for planning and execution. Between the two of a read committed statement a chunk (or partition) may
    # come into being: its rows would be missing although marks and roll-ups of the same commit are seen.
    "default_transaction_isolation": "repeatable read",
    "default_transaction_read_only": "on",
    # A plan for the very bounds excludes chunks early, and takes less time than a general one over hundreds of them.
    "plan_cache_mode": "force_custom_plan",
    # It adds more than it saves to queries of a millisecond.
    "jit": "off",
    # Parallel workers would mix the order of rows, and on a small machine take the cores that writers need.
    "max_parallel_workers_per_gather": "0",
}


def obstacle_of(error: BaseException) -> str:
    """An outage in a sentence without addresses and paths, which are not for everyone who may ask."""
    if isinstance(error, asyncpg.DiskFullError):
        return "There is no space left on the disk of the database."
    return "The database cannot be reached just now."


@contextmanager
def outages_as_unavailable() -> Iterator[None]:
    """Turn a database that cannot be used just now into the error that asks the client to come back."""
    try:
        yield
    except OUTAGES as error:
        log.warning("database unavailable", error=str(error) or type(error).__name__)
        raise unavailable("The database cannot be reached just now; try again shortly.") from error


class Database:
    """A PostgreSQL database: pools for queries, for streams and for management, and single connections for some.

    Until `ready` is set, once the schema is known to be the one this version works with, every session is refused.
    """

    def __init__(self, url: str, *, connections: int = 8) -> None:
        self.url = url
        self.ready = asyncio.Event()
        self.obstacle = "The database is not ready yet."
        """Why it is not ready, for those who look after the service."""
        self._queries = _pool(url, connections, QUERY_SESSION)
        streams = max(2, connections // 2)
        self._streams = _pool(url, streams, QUERY_SESSION)
        self._stream_share = streams // 2
        self._streaming: WeakValueDictionary[int, asyncio.Semaphore] = WeakValueDictionary()
        """The share of streams of each organization that has some under way."""
        self._management = _pool(url, max(2, connections // 2), SESSION)

    async def open(self) -> None:
        """Start the pools; this connects to nothing yet."""
        await self._queries
        await self._streams
        await self._management

    async def connect(self) -> "Connection[Any]":
        """Open a connection of one's own; it has no time limit on commands. Raises what `OUTAGES` names."""
        connection: Connection[Any] = await asyncpg.connect(self.url, server_settings=SESSION, timeout=CONNECT_SECONDS)
        return connection

    @asynccontextmanager
    async def snapshot(self) -> AsyncIterator["Connected"]:
        """A connection to read with, each statement (or transaction) in one snapshot; outages are `unavailable`."""
        async with self._acquire(self._queries, "Too many requests are waiting for the database") as connection:
            yield connection

    @asynccontextmanager
    async def long_snapshot(self, company_id: int) -> AsyncIterator["Connected"]:
        """The same for as long as a client takes to read: of a pool of its own, so that the slow keep nobody else, of
        which an organization has half at most, so that its slow readers do not keep those of others.
        """
        share = self._streaming.setdefault(company_id, asyncio.Semaphore(self._stream_share))
        try:
            async with asyncio.timeout(ACQUIRE_SECONDS):
                await share.acquire()
        except TimeoutError:
            raise unavailable(
                "Too many streamed answers of this organization are under way; come back shortly."
            ) from None
        try:
            async with self._acquire(self._streams, "Too many large answers are under way") as connection:
                yield connection
        finally:
            share.release()

    @asynccontextmanager
    async def session(self) -> AsyncIterator["Connected"]:
        """A connection to manage with, reading and writing; outages are `unavailable`."""
        async with self._acquire(self._management, "Too many requests are waiting for the database") as connection:
            yield connection

    async def close(self) -> None:
        """Close the pools; what is under way is given a moment to end."""
        await asyncio.gather(*map(_closed, (self._queries, self._streams, self._management)))

    @asynccontextmanager
    async def _acquire(self, pool: "Pool[Any]", exhausted: str) -> AsyncIterator["Connected"]:
        """A connection of a pool; `exhausted` tells of one that has none left for as long as a request waits."""
        if not self.ready.is_set():
            raise unavailable("The database is not ready yet; try again shortly.")
        with outages_as_unavailable():
            connection = await _connection_of(pool, exhausted)
            try:
                yield connection
            except TidemarkError:
                raise
            except Exception as error:
                if connection.is_closed():  # whatever the driver makes of that
                    raise ConnectionResetError(str(error) or type(error).__name__) from error
                raise
            finally:
                await pool.release(connection)


async def _connection_of(pool: "Pool[Any]", exhausted: str) -> "PoolConnectionProxy[Any]":
    try:
        return await pool.acquire(timeout=ACQUIRE_SECONDS)
    except TimeoutError:
        # Connecting takes less time than this, so where every connection is there, others hold them.
        if pool.get_size() == pool.get_max_size():
            raise unavailable(f"{exhausted}; come back shortly.") from None
        raise


def _pool(url: str, connections: int, settings: dict[str, str]) -> "Pool[Any]":
    pool: Pool[Any] = asyncpg.create_pool(
        url,
        min_size=0,
        max_size=connections,
        server_settings=settings,
        timeout=CONNECT_SECONDS,
        command_timeout=QUERY_SECONDS,
        reset=_keep,
    )
    return pool


async def _closed(pool: "Pool[Any]") -> None:
    try:
        await asyncio.wait_for(pool.close(), 0.5)
    except (TimeoutError, *OUTAGES):
        pool.terminate()


async def _keep(_connection: "Connection[Any]") -> None:
    """Nothing that sessions here do outlives their transaction, so there is nothing to reset between two of them."""
