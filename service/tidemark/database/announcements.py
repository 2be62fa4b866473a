"""Announcements: before a change is answered, every process has forgotten what it remembered of the old state.

Triggers announce whose catalog a transaction has changed, and every server process listens
(`tidemark.catalog.hearing`). Whoever has changed something then asks all of them whether they have heard. PostgreSQL
delivers announcements in the order of their commits, so a process that answers has heard of every change before the
question.
"""

import asyncio
import contextlib
import secrets
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import structlog

from tidemark.database.statements import statements

if TYPE_CHECKING:
    from asyncpg import Connection

    from tidemark.database.database import Connected

log = structlog.get_logger(__name__)

PULSE_SECONDS = 1.5
"""How long the connection that hears announcements may be silent before it is tried, and take to answer then."""
HEARD_SECONDS = 2 * PULSE_SECONDS + 0.5
"""A process that has not answered after this time has noticed that it cannot hear, and remembers nothing."""
LOOK_SECONDS = 0.2
"""How often those who ask look whether processes that have not answered are still there."""
_CHANGES = "tidemark_catalog"
_ANSWERS = "tidemark_heard"


class Listener:
    """Hears announcements over a connection of its own, and answers those who ask whether it has."""

    def __init__(self, connection: "Connection[Any]", changed: Callable[[int], None]) -> None:
        """`changed` is called with the company of each change that is heard."""
        self._connection = connection
        self._changed = changed
        self._questions: asyncio.Queue[str] = asyncio.Queue()

    async def begin(self) -> None:
        """Listen; from here on every change waits until this process has heard of it."""
        await self._connection.add_listener(_CHANGES, self._hear)
        await statements().be_waited_for.run(self._connection)

    async def answer(self) -> None:
        """Answer a question, or try the connection where none has come for a while. Raises what `OUTAGES` names."""
        question = await self._question()
        async with asyncio.timeout(PULSE_SECONDS):
            if question is None:
                await statements().ping.run(self._connection)
            else:
                await statements().answer_heard.run(self._connection, question=question)

    async def _question(self) -> str | None:
        try:
            async with asyncio.timeout(PULSE_SECONDS):
                return await self._questions.get()
        except TimeoutError:
            return None

    def _hear(self, *heard: Any) -> None:
        payload = str(heard[3])
        if payload.isdigit():
            self._changed(int(payload))
        else:
            self._questions.put_nowait(payload)


async def heard_by_all(connection: "Connected") -> None:
    """Return once every process has heard of what has committed; after `HEARD_SECONDS` at the latest, when a process
    that cannot hear remembers nothing any more. The connection must not be in a transaction.
    """
    question = f"heard-{secrets.token_hex(8)}"
    waited_for: set[int] = set()
    all_answered = asyncio.Event()

    def hear(*heard: Any) -> None:
        asked, _, pid = str(heard[3]).partition(" ")
        if asked == question:
            waited_for.discard(int(pid))
            if not waited_for:
                all_answered.set()

    await connection.add_listener(_ANSWERS, hear)
    try:
        waited_for |= await _listeners(connection)
        await statements().ask_listeners.run(connection, question=question)
        deadline = time.monotonic() + HEARD_SECONDS
        while waited_for and time.monotonic() < deadline:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LOOK_SECONDS):
                    await all_answered.wait()
            if waited_for:
                waited_for &= await _listeners(connection)  # those that have ended need not answer
    finally:
        await connection.remove_listener(_ANSWERS, hear)
    if waited_for:
        log.warning("a change was not heard by every process", silent=len(waited_for))


async def _listeners(connection: "Connected") -> set[int]:
    return {row["pid"] for row in await statements().listeners.rows(connection)}
