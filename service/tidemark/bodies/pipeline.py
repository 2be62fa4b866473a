"""The one way of bodies with many records: decoded piece by piece, checked, stored, acknowledged."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Iterator, Sized
from contextlib import aclosing
from typing import Any, Generic, Protocol, TypeVar

from tidemark.bodies.outcome import Outcome, Rejection, TooManyRejectionsError

IN_THREAD = 64 * 1024
"""Bytes from which decoding leaves the event loop to others."""
GATHERED = 512 * 1024
"""Bytes of a body that are decoded together, some thousand readings: a thread is not asked for less."""
FLUSH_SECONDS = 0.2
"""How long records that have come may wait for more to be decoded with."""
MAX_REJECTIONS = 10_000
"""Rejected records after which a body is read no further: compressed, a body of nothing else would be endless work."""


Piece = TypeVar("Piece")
Piece_co = TypeVar("Piece_co", covariant=True)
Stored = TypeVar("Stored", bound=Sized)


class Decoder(Protocol[Piece_co]):
    """A wire format: the bytes of a body go in as they come, pieces with some thousand records come out."""

    def feed(self, data: bytes) -> Iterator[Piece_co]:
        """Take the next bytes. Raises BodyError."""

    def flush(self) -> Iterator[Piece_co]:
        """Take the complete records that have come, where the format streams. Raises BodyError."""

    def finish(self) -> Iterator[Piece_co]:
        """Take the end of the body. Raises BodyError."""


async def decoded(decoder: Decoder[Piece], body: AsyncIterator[bytes]) -> AsyncGenerator[Piece, None]:
    """The pieces of a body as it comes. Raises BodyError.

    Bytes are gathered until they are worth decoding. When nothing more comes for a moment, and when the body breaks
    off, what has come is decoded as it is.
    """
    gathered: list[bytes] = []
    size = total = 0
    flushed = True
    coming = _coming(body)
    try:
        while True:
            done, _ = await asyncio.wait((coming,), timeout=None if flushed else FLUSH_SECONDS)
            broken = bool(done) and coming.exception() is not None
            data = coming.result() if done and not broken else None
            if data is not None:
                gathered.append(data)
                size += len(data)
                total += len(data)
                flushed = False
                coming = _coming(body)
                if size < GATHERED:
                    continue
            if gathered:
                pieces = decoder.feed(b"".join(gathered))
                while (piece := await _next(pieces, in_thread=size >= IN_THREAD)) is not None:
                    yield piece
                gathered, size = [], 0
            if data is None and not flushed and (broken or not done):
                for piece in decoder.flush():
                    yield piece
                flushed = True
            if done and data is None:
                coming.result()  # raises where the body broke off
                break
    finally:
        if not coming.cancel() and not coming.cancelled():
            coming.exception()  # was looked at here, or there is nobody left whom it concerns
    # Formats that do not stream decode all of the body here.
    pieces = decoder.finish()
    while (piece := await _next(pieces, in_thread=total >= IN_THREAD)) is not None:
        yield piece


def _coming(body: AsyncIterator[bytes]) -> "asyncio.Task[bytes | None]":
    async def following() -> bytes | None:
        return await anext(body, None)

    return asyncio.ensure_future(following())


async def _next(pieces: Iterator[Piece], *, in_thread: bool) -> Piece | None:
    return await asyncio.to_thread(next, pieces, None) if in_thread else next(pieces, None)


class BodyPipeline(ABC, Generic[Piece, Stored]):
    """One body on its way. While a piece of it commits the next one is decoded, and no more than that is in memory.

    A body that streams is stored as far as limits allow, any other whole or not at all; either ends after
    `max_rejections`. Where a body is continued, `outcome` is what became of the part before.
    """

    def __init__(
        self,
        store: Callable[[Stored], Coroutine[Any, Any, None]],
        *,
        streams: bool,
        outcome: Outcome | None = None,
        max_rejections: int | None = MAX_REJECTIONS,
    ) -> None:
        self.outcome = outcome or Outcome()
        self._max_rejections = max_rejections
        self._rejected = 0
        self._store = store
        self._streams = streams
        self._waiting: list[tuple[Stored, Outcome]] = []
        self._committing: tuple[asyncio.Task[None] | None, Stored, Outcome] | None = None

    @abstractmethod
    async def _known(self, piece: Piece) -> tuple[Stored, Outcome]:
        """What of a piece can be stored, and what becomes of the rest."""

    async def _allow_all(self, records: int) -> None:
        """Asked before so many records are stored; refuses by raising TidemarkError."""

    async def _allow_some(self, block: Stored) -> tuple[Stored, Stored | None]:
        """What of a block may be stored now, and the rest. Raises TidemarkError where nothing may."""
        return block, None

    def _count(self, block: Stored, result: Outcome) -> None:
        """Count what has committed."""
        result.accepted = len(block)

    def _last(self, rejections: list[Rejection]) -> int | None:
        """The record that the body ends with, where these further rejections, in their order, are too many."""
        if self._max_rejections is None or self._rejected + len(rejections) < self._max_rejections:
            return None
        return rejections[self._max_rejections - self._rejected - 1].index

    async def run(self, pieces: AsyncGenerator[Piece, None]) -> Outcome:
        """Take a body to its end.

        Raises BodyError where it cannot be read further and TidemarkError where it cannot be stored; `outcome` then
        tells what is durable all the same.
        """
        try:
            async with aclosing(pieces):
                async for piece in pieces:
                    block, result = await self._known(piece)
                    self._rejected += result.rejected
                    if self._streams:
                        await self._stream(block, result)
                    else:
                        self._waiting.append((block, result))
                    if self._ended():
                        break
            if self._waiting:
                await self._allow_all(sum(len(block) for block, _ in self._waiting))
                for block, result in self._waiting:
                    await self._write(block, result)
        finally:
            # Also when the body breaks off: what was sent is stored, and counted when it is.
            await self._committed()
        if self._ended():
            raise TooManyRejectionsError(self._rejected, self.outcome.rejections[0])
        return self.outcome

    def _ended(self) -> bool:
        return self._max_rejections is not None and self._rejected >= self._max_rejections

    async def _stream(self, block: Stored, result: Outcome) -> None:
        rest: Stored | None = block
        while rest is not None:
            allowed, rest = await self._allow_some(rest)
            await self._write(allowed, result)
            result = Outcome()

    async def _write(self, block: Stored, result: Outcome) -> None:
        # One at a time: of a record that stands in the body twice the later one must win.
        await self._committed()
        task = asyncio.create_task(self._store(block)) if len(block) else None
        self._committing = task, block, result
        await asyncio.sleep(0)  # it is accepted, or refused, before the next piece is decoded
        if task is not None and task.done():
            await self._committed()

    async def _committed(self) -> None:
        if self._committing is not None:
            (task, block, result), self._committing = self._committing, None
            if task is not None:
                await task
            known = result.rejected
            self._count(block, result)
            self._rejected += result.rejected - known
            self.outcome.add(result)
