"""Connections to the database. Only here do its failures become errors that users see."""

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

# Errors that are due to the state of the database, not to the request: it is out of reach, starting, stopping or full.
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
"""How long a request waits for a connection before the client is asked to try again."""

SESSION = {
    "application_name": "tidemark",
    "TimeZone": "UTC",
    # A role named tidemark would otherwise find the views for SQL users first, in the schema of its own name.
    "search_path": "public",
    "synchronous_commit": "on",
    # Writers read a line of web records in the statement after the one that locks it, and must see its current value.
    "default_transaction_isolation": "read committed",
}
QUERY_SESSION = SESSION | {
    # One snapshot for planning and execution. With read committed, a chunk (or partition) may be created between the
    # two: its rows would be missing, although what was deleted from the log in the same commit would be gone.
    "default_transaction_isolation": "repeatable read",
    "default_transaction_read_only": "on",
    # A plan for the actual bounds excludes chunks early, which is faster than a generic plan over hundreds of them.
    "plan_cache_mode": "force_custom_plan",
    # Compilation takes longer than it saves in queries of a millisecond.
    "jit": "off",
    # Parallel workers would change the order of rows, and on a small machine use the cores that writers need.
    "max_parallel_workers_per_gather": "0",
}


def obstacle_of(error: BaseException) -> str:
    """Describe an outage without addresses and paths, since anybody may read the description."""
    if isinstance(error, asyncpg.DiskFullError):
        return "There is no space left on the disk of the database."
    return "The database cannot be reached just now."


@contextmanager
def outages_as_unavailable() -> Iterator[None]:
    """Turn an outage of the database into the error that asks the client to try again."""
    try:
        yield
    except OUTAGES as error:
        log.warning("database unavailable", error=str(error) or type(error).__name__)
        raise unavailable("The database cannot be reached just now; try again shortly.") from error


class Database:
    """A PostgreSQL database: pools for queries, for streams and for management, and single connections.

    Sessions are refused until `ready` is set, once the schema is known to be that of this version.
    """

    def __init__(self, url: str, *, connections: int = 8) -> None:
        self.url = url
        self.ready = asyncio.Event()
        self.engine = ""
        """Its storage engine, once it is ready."""
        self.obstacle = "The database is not ready yet."
        """Why it is not ready, for the operator."""
        self._queries = _pool(url, connections, QUERY_SESSION)
        streams = max(2, connections // 2)
        self._streams = _pool(url, streams, QUERY_SESSION)
        self._stream_share = streams // 2
        self._streaming: WeakValueDictionary[int, asyncio.Semaphore] = WeakValueDictionary()
        """The share of each organization that has streams in progress."""
        self._management = _pool(url, max(2, connections // 2), SESSION)

    async def open(self) -> None:
        """Start the pools, which do not connect yet."""
        await self._queries
        await self._streams
        await self._management

    async def connect(self) -> "Connection[Any]":
        """Open a connection outside the pools, without a time limit on commands. Raises the errors in `OUTAGES`."""
        connection: Connection[Any] = await asyncpg.connect(self.url, server_settings=SESSION, timeout=CONNECT_SECONDS)
        return connection

    @asynccontextmanager
    async def snapshot(self) -> AsyncIterator["Connected"]:
        """A connection for reading, each statement (or transaction) in one snapshot. Outages raise `unavailable`."""
        async with self._acquire(self._queries, "Too many requests are waiting for the database") as connection:
            yield connection

    @asynccontextmanager
    async def long_snapshot(self, company_id: int) -> AsyncIterator["Connected"]:
        """The same, for as long as a client takes to read. It comes from a separate pool, so that slow readers do not
        hold up queries; an organization may use half of that pool, so that its slow readers do not hold up others'.
        """
        share = self._streaming.setdefault(company_id, asyncio.Semaphore(self._stream_share))
        try:
            async with asyncio.timeout(ACQUIRE_SECONDS):
                await share.acquire()
        except TimeoutError:
            raise unavailable(
                "This organization has too many streamed responses in progress; try again shortly."
            ) from None
        try:
            async with self._acquire(self._streams, "Too many large responses are in progress") as connection:
                yield connection
        finally:
            share.release()

    @asynccontextmanager
    async def session(self) -> AsyncIterator["Connected"]:
        """A connection for management, which reads and writes. Outages raise `unavailable`."""
        async with self._acquire(self._management, "Too many requests are waiting for the database") as connection:
            yield connection

    async def close(self) -> None:
        """Close the pools, giving what is in progress a moment to finish."""
        await asyncio.gather(*map(_closed, (self._queries, self._streams, self._management)))

    @asynccontextmanager
    async def _acquire(self, pool: "Pool[Any]", exhausted: str) -> AsyncIterator["Connected"]:
        """A connection from a pool; `exhausted` is the error message if none becomes free while the request waits."""
        if not self.ready.is_set():
            raise unavailable("The database is not ready yet; try again shortly.")
        with outages_as_unavailable():
            connection = await _connection_of(pool, exhausted)
            try:
                yield connection
            except TidemarkError:
                raise
            except Exception as error:
                if connection.is_closed():  # whichever error the driver raises then
                    raise ConnectionResetError(str(error) or type(error).__name__) from error
                raise
            finally:
                await pool.release(connection)


async def _connection_of(pool: "Pool[Any]", exhausted: str) -> "PoolConnectionProxy[Any]":
    try:
        return await pool.acquire(timeout=ACQUIRE_SECONDS)
    except TimeoutError:
        # Connecting takes less time than this, so if every connection exists, other requests hold them.
        if pool.get_size() == pool.get_max_size():
            raise unavailable(f"{exhausted}; try again shortly.") from None
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
    """Do nothing: what sessions do here does not outlive their transactions, so there is nothing to reset."""
