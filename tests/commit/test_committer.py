"""The committer: which failures are tried again, on which connection, how often, and what is raised in the end."""

import asyncio
from collections.abc import Iterator
from typing import Any, cast

import asyncpg
import pytest
from asyncpg import Connection
from tidemark.base.errors import Kind, TidemarkError
from tidemark.commit import committer as module
from tidemark.commit.committer import ATTEMPTS, Committer
from tidemark.database.database import Database

PASSING = (
    asyncpg.DeadlockDetectedError,
    asyncpg.LockNotAvailableError,
    asyncpg.SerializationError,
    asyncpg.UniqueViolationError,
)
LOST = (
    asyncpg.AdminShutdownError,
    asyncpg.CannotConnectNowError,
    asyncpg.ConnectionDoesNotExistError,
    asyncpg.DiskFullError,
    asyncpg.InterfaceError,
    asyncpg.ReadOnlySQLTransactionError,
    asyncpg.TooManyConnectionsError,
)
GONE = (ConnectionRefusedError, ConnectionResetError, TimeoutError)
UNKNOWN = (ZeroDivisionError, asyncpg.CheckViolationError, asyncpg.UndefinedTableError)


class FakeConnection:
    """A connection that can be lost."""

    def __init__(self) -> None:
        self.lost = False
        self.close_error: Exception | None = None

    def is_closed(self) -> bool:
        return self.lost

    def terminate(self) -> None:
        self.lost = True

    async def close(self, *, timeout: float) -> None:  # noqa: ASYNC109 - as asyncpg has it
        self.lost = True
        if self.close_error is not None:
            raise self.close_error


class FakeDatabase:
    """A database that is ready; an error that stands in line fails the next attempt to connect."""

    def __init__(self) -> None:
        self.ready = asyncio.Event()
        self.ready.set()
        self.connections: list[FakeConnection] = []
        self.errors: list[Exception] = []

    async def connect(self) -> FakeConnection:
        if self.errors:
            raise self.errors.pop(0)
        self.connections.append(FakeConnection())
        return self.connections[-1]


class Work:
    """Work that fails with these errors, one an attempt, and then succeeds."""

    def __init__(self, *errors: BaseException) -> None:
        self.attempts: list[FakeConnection] = []
        """The connection of each attempt."""
        self._errors: Iterator[BaseException] = iter(errors)

    async def __call__(self, connection: "Connection[Any]") -> None:
        self.attempts.append(cast("FakeConnection", connection))
        if (error := next(self._errors, None)) is not None:
            raise error


def made(database: FakeDatabase) -> Committer:
    """A committer of texts over a fake database."""
    return Committer(cast("Database", database), "texts")


async def refusal(committer: Committer, work: Work) -> TidemarkError:
    """What the committer raises in the end."""
    with pytest.raises(TidemarkError) as raised:
        await committer.commit(work, 1)
    assert raised.value.kind is Kind.UNAVAILABLE
    assert raised.value.retry_after == 1
    return raised.value


async def test_a_connection_is_opened_for_the_first_commit_and_kept() -> None:
    database, work = FakeDatabase(), Work()
    committer = made(database)
    for _ in range(3):
        await committer.commit(work, 1)
    assert work.attempts == database.connections * 3


async def test_a_connection_that_was_lost_meanwhile_is_opened_anew() -> None:
    database, work = FakeDatabase(), Work()
    committer = made(database)
    await committer.commit(work, 1)
    database.connections[0].lost = True
    await committer.commit(work, 1)
    assert work.attempts == database.connections
    assert len(database.connections) == 2


@pytest.mark.parametrize("error", PASSING)
async def test_what_may_pass_is_tried_again_on_the_same_connection(error: type[Exception]) -> None:
    database, work = FakeDatabase(), Work(error(""), error(""))
    await made(database).commit(work, 1)
    assert work.attempts == database.connections * 3
    assert not database.connections[0].lost


@pytest.mark.parametrize("error", LOST)
async def test_an_outage_is_tried_again_on_a_new_connection(error: type[Exception]) -> None:
    database, work = FakeDatabase(), Work(error(""), error(""))
    await made(database).commit(work, 1)
    assert work.attempts == database.connections
    assert [one.lost for one in database.connections] == [True, True, False]


@pytest.mark.parametrize("error", [*PASSING, *LOST])
async def test_attempts_are_limited(error: type[Exception]) -> None:
    work = Work(*(error("") for _ in range(ATTEMPTS)))
    refused = await refusal(made(FakeDatabase()), work)
    assert refused.message == "The texts could not be stored just now; send them again later."
    assert len(work.attempts) == ATTEMPTS


@pytest.mark.parametrize("error", [*GONE, *UNKNOWN])
async def test_where_trying_again_does_not_help_the_connection_is_dropped(error: type[Exception]) -> None:
    database, work = FakeDatabase(), Work(error(""))
    committer = made(database)
    await refusal(committer, work)
    assert len(work.attempts) == 1
    assert database.connections[0].lost
    await committer.commit(work, 1)
    assert work.attempts == database.connections


@pytest.mark.parametrize("error", [ConnectionRefusedError(), asyncpg.InvalidCatalogNameError("")])
async def test_a_database_that_cannot_be_connected_to_is_unavailable(error: Exception) -> None:
    database, work = FakeDatabase(), Work()
    database.errors = [error] * ATTEMPTS
    committer = made(database)
    await refusal(committer, work)
    assert work.attempts == []
    database.errors = []
    await committer.commit(work, 1)


async def test_a_commit_that_hangs_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "COMMIT_SECONDS", 0.0)
    database = FakeDatabase()
    committer = made(database)

    class Hanging(Work):
        async def __call__(self, connection: "Connection[Any]") -> None:
            await super().__call__(connection)
            await asyncio.Event().wait()

    work = Hanging()
    await refusal(committer, work)
    assert len(work.attempts) == 1
    assert database.connections[0].lost


async def test_nothing_is_tried_before_the_database_is_ready() -> None:
    database, work = FakeDatabase(), Work()
    database.ready.clear()
    committer = made(database)
    refused = await refusal(committer, work)
    assert "not ready" in refused.message
    assert database.connections == []
    database.ready.set()
    await committer.commit(work, 1)


async def test_a_cancelled_commit_is_not_tried_again() -> None:
    work = Work(asyncio.CancelledError())
    with pytest.raises(asyncio.CancelledError):
        await made(FakeDatabase()).commit(work, 1)
    assert len(work.attempts) == 1


@pytest.mark.parametrize("error", [None, TimeoutError(), asyncpg.ConnectionDoesNotExistError("")])
async def test_closing_closes_the_connection_even_where_the_server_has_gone(error: Exception | None) -> None:
    database = FakeDatabase()
    committer = made(database)
    await committer.close()  # there is none yet
    await committer.commit(Work(), 1)
    database.connections[0].close_error = error
    await committer.close()
    assert database.connections[0].lost
