"""Announcements: before a change is acknowledged, every process has forgotten what it remembered of the old state.

Triggers announce the organization whose catalog a transaction has changed, and every server process listens
(`tidemark.catalog.hearing`). The process that made the change then asks all of them whether they have heard of it.
PostgreSQL delivers announcements in the order of their commits, so a process that answers has heard of every change
made before the question.
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
"""How long the listening connection may be silent before it is tested, and how long it may then take to respond."""
HEARD_SECONDS = 2 * PULSE_SECONDS + 0.5
"""After this time, a process that has not answered has noticed that it cannot hear, and remembers nothing."""
LOOK_SECONDS = 0.2
"""How often a process that asks checks whether those that have not answered still exist."""
_CHANGES = "tidemark_catalog"
_ANSWERS = "tidemark_heard"


class Listener:
    """Hears announcements on a connection of its own, and confirms that to the processes that ask."""

    def __init__(self, connection: "Connection[Any]", changed: Callable[[int], None]) -> None:
        """`changed` is called with the company id of each announced change."""
        self._connection = connection
        self._changed = changed
        self._questions: asyncio.Queue[str] = asyncio.Queue()

    async def begin(self) -> None:
        """Start to listen; from then on, every change waits until this process has heard of it."""
        await self._connection.add_listener(_CHANGES, self._hear)
        await statements().be_waited_for.run(self._connection)

    async def answer(self) -> None:
        """Answer a question, or test the connection if none has arrived for a while. Raises the errors in `OUTAGES`."""
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
    """Return once every process has heard of what has committed, at the latest after `HEARD_SECONDS`, when a process
    that cannot hear no longer remembers anything. The connection must not be in a transaction.
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
                waited_for &= await _listeners(connection)  # a process that has ended need not answer
    finally:
        await connection.remove_listener(_ANSWERS, hear)
    if waited_for:
        log.warning("not every process has heard of a change", silent=len(waited_for))


async def _listeners(connection: "Connected") -> set[int]:
    return {row["pid"] for row in await statements().listeners.rows(connection)}
