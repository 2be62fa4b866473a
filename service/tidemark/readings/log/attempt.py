"""An append on its way to the server, and when it is certain what has become of it.

Where the outcome of an append is unknown, because its connection was lost or it took too long, it may still be on its
way, and it takes its place in the order of writes (the id of its transaction) only when it arrives. If its readings
were written again and then overwritten before that, it would win over what has been acknowledged since. So before it is
tried again, or given up and refused, one of two things is certain:

- The session that it was sent to has ended, and with it whatever that session had not read. It is ended from another
  connection; its start tells it apart from a later session with the same process id.
- Its deadline has passed. The server refuses an append that takes its id later than that (`refuse_late_append`).

The deadline is an instant of the database's clock that is fixed before sending. A column default would be computed on
arrival, and give a delayed append a new deadline. The database's clock is known from asking it: its answer was right at
some moment between question and answer. Reckoned from the question, the clock reads the latest that it can; deadlines
are made that way, so none is too early. Reckoned from the answer, it reads the earliest; that way this side judges that
a deadline has passed when the database cannot be asked. The question is repeated every `CLOCK_SECONDS`, since clocks
drift and are corrected; an append that a correction makes late is refused, and tried again with a new deadline.
"""

import asyncio
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from tidemark.database.statements import statements

if TYPE_CHECKING:
    from asyncpg import Connection

DEADLINE_SECONDS = 5.0
"""How long an append may take to reach the table; waiting for the disk afterwards does not count. A request whose
append is cut off by an outage waits this long for its 503."""
CLOCK_SECONDS = 60.0
MARGIN_SECONDS = 0.5
"""More than two clocks drift apart in `CLOCK_SECONDS`."""
POLL_SECONDS = 0.01


@dataclass(frozen=True, slots=True)
class Attempt:
    """An append on its way."""

    pid: int
    backend_start: datetime
    deadline: datetime
    """By the database's clock."""
    passed: float
    """When the deadline has passed for certain, in seconds of the event loop's clock."""


@dataclass(frozen=True, slots=True)
class Session:
    """A session of the server, and its clock."""

    connection: "Connection[Any]"
    pid: int
    backend_start: datetime
    now: datetime
    """What the database's clock read at some moment from `asked` to `heard`, seconds of the event loop's clock."""
    asked: float
    heard: float

    @classmethod
    async def on(cls, connection: "Connection[Any]") -> "Session":
        """The session of a connection."""
        asked = _now()
        row = await statements().append_session.row(connection)
        assert row is not None  # a session sees itself
        return cls(connection, row["pid"], row["backend_start"], row["now"], asked, _now())

    def current_on(self, connection: "Connection[Any]") -> bool:
        """Whether this is still right for the connection."""
        return self.connection is connection and _now() - self.heard <= CLOCK_SECONDS

    def attempt(self) -> Attempt:
        """An attempt that begins now."""
        begin = _now()
        deadline = self.now + timedelta(seconds=begin - self.asked + DEADLINE_SECONDS)
        passed = begin + DEADLINE_SECONDS + (self.heard - self.asked) + MARGIN_SECONDS
        return Attempt(self.pid, self.backend_start, deadline, passed)


async def end(attempt: Attempt, connection: "Connection[Any]") -> None:
    """Return once an attempt made over another connection has committed or is certain never to; end its session."""
    session = {"pid": attempt.pid, "backend_start": attempt.backend_start}
    may_arrive = True
    while may_arrive:
        may_arrive = bool(await statements().end_append.rows(connection, **session, deadline=attempt.deadline))
        await asyncio.sleep(POLL_SECONDS if may_arrive else 0)


async def outwait(attempt: Attempt) -> None:
    """Return once the deadline of an attempt has passed for certain; for when the database is out of reach."""
    await asyncio.sleep(attempt.passed - _now())


def _now() -> float:
    return asyncio.get_running_loop().time()
