"""The one path that bodies with many records take: decoded piece by piece, checked, stored, acknowledged."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Iterator, Sized
from contextlib import aclosing
from typing import Any, Generic, Protocol, TypeVar

from tidemark.bodies.outcome import Outcome, Rejection, TooManyRejectionsError

IN_THREAD = 64 * 1024
"""Bytes from which on decoding is left to a thread, so that it does not hold up the event loop."""
GATHERED = 512 * 1024
"""Bytes of a body that are decoded together, some thousand readings: a thread is not worth it for less."""
FLUSH_SECONDS = 0.2
"""How long records that have arrived may wait to be decoded together with more."""
MAX_REJECTIONS = 10_000
"""Rejected records after which the rest of a body is not read: compressed, nothing else would mean endless work."""


Piece = TypeVar("Piece")
Piece_co = TypeVar("Piece_co", covariant=True)
Stored = TypeVar("Stored", bound=Sized)


class Decoder(Protocol[Piece_co]):
    """A wire format: takes the bytes of a body as they arrive, and yields pieces of some thousand records."""

    def feed(self, data: bytes) -> Iterator[Piece_co]:
        """Take the next bytes. Raises BodyError."""

    def flush(self) -> Iterator[Piece_co]:
        """The complete records received so far, where the format streams. Raises BodyError."""

    def finish(self) -> Iterator[Piece_co]:
        """End the body. Raises BodyError."""


async def decoded(decoder: Decoder[Piece], body: AsyncIterator[bytes]) -> AsyncGenerator[Piece, None]:
    """The pieces of a body as it arrives. Raises BodyError.

    Bytes are gathered until they are worth decoding. When the body pauses or breaks off, what has arrived is decoded.
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
            coming.exception()  # retrieved: it was raised above, or nobody is left whom it concerns
    # Formats that do not stream decode the whole body here.
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
    """Stores one body. While a piece commits the next is decoded, and no more than these two are in memory.

    A body that streams is stored as far as limits allow, any other whole or not at all; either ends at
    `max_rejections`. Where a body is resumed, `outcome` is that of the part before.
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
        """The part of a piece that can be stored, and the outcome of the rest."""

    async def _allow_all(self, records: int) -> None:
        """Called before this many records are stored. Raises TidemarkError to refuse them."""

    async def _allow_some(self, block: Stored) -> tuple[Stored, Stored | None]:
        """The part of a block that may be stored now, and the rest. Raises TidemarkError if none may."""
        return block, None

    def _count(self, block: Stored, result: Outcome) -> None:
        """Complete the outcome of a block that has committed."""
        result.accepted = len(block)

    def _last(self, rejections: list[Rejection]) -> int | None:
        """The index of the record that the body ends with, if these further rejections, in order, are too many."""
        if self._max_rejections is None or self._rejected + len(rejections) < self._max_rejections:
            return None
        return rejections[self._max_rejections - self._rejected - 1].index

    async def run(self, pieces: AsyncGenerator[Piece, None]) -> Outcome:
        """Take the body to its end.

        Raises BodyError if it cannot be read any further, and TidemarkError if it cannot be stored; `outcome` then
        tells what is durable.
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
            # Even if the body breaks off: what was sent is stored, and counted once it is.
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
        # One block at a time: if the body has a record twice, the later one must win.
        await self._committed()
        task = asyncio.create_task(self._store(block)) if len(block) else None
        self._committing = task, block, result
        await asyncio.sleep(0)  # the block is accepted, or refused, before the next piece is decoded
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
