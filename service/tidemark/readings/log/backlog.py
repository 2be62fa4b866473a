"""Back-pressure: commits grow slower as more readings wait to be settled, until writes are refused."""

import asyncio

import structlog

from tidemark.base.errors import TidemarkError, unavailable
from tidemark.database.database import Database
from tidemark.database.statements import statements

log = structlog.get_logger(__name__)

ASK_SECONDS = 1.0
"""How often the database is asked; what commits in between adds a small part of the limit."""
SLOW_FROM = 0.5
"""The part of the limit from which commits are slowed down."""
MAX_PAUSE_SECONDS = 0.5
READING_BYTES = 100
"""A log with more bytes on disk than this for each reading of the limit counts as full too: readers that hold an old
snapshot for long keep settled runs on disk. A reading takes 15 to 40 bytes.
"""
FREE_BYTES = 256 * 1024 * 1024
"""A log that is no larger than this is not full on account of its size."""
RETRY_AFTER = 5


class Backlog:
    """How many readings have committed and wait to be settled, as all processes see it."""

    def __init__(self, max_unsettled: int) -> None:
        self._max_unsettled = max_unsettled
        self._part = 0.0

    @property
    def pause(self) -> float:
        """How many seconds to wait before the next commit."""
        return max(0.0, min(1.0, (self._part - SLOW_FROM) / (1 - SLOW_FROM))) * MAX_PAUSE_SECONDS

    def refuse_if_full(self) -> None:
        """Raise TidemarkError if no more readings may be written just now."""
        if self._part >= 1:
            raise unavailable("Too many readings are waiting to be settled; send this again later.", RETRY_AFTER)

    def note(self, readings: int, size: int) -> None:
        """Note what the log has: readings, and bytes on disk."""
        was_full, self._part = self._part >= 1, max(readings, (size - FREE_BYTES) / READING_BYTES) / self._max_unsettled
        if was_full != (self._part >= 1):
            event = "the log takes writes again" if was_full else "the log is full; writes are refused"
            log.warning(event, unsettled_readings=readings, bytes=size)

    async def watch(self, database: Database) -> None:
        """Ask the database for ever."""
        await database.ready.wait()
        while True:
            try:
                async with database.session() as connection:
                    unsettled = await statements().unsettled.row(connection)
                    assert unsettled is not None  # an aggregate has one row
                    self.note(unsettled["readings"], unsettled["bytes"])
            except TidemarkError:  # the database is away, and so says itself to whoever writes
                log.debug("the log could not be looked at")
            await asyncio.sleep(ASK_SECONDS)
