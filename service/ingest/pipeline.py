"""The one way of bodies with many records: decoded piece by piece, checked, stored, acknowledged."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator, Sequence, Sized
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol, TypeVar

import numpy as np

from service.ingest.bulk import Block, BulkWriter
from service.ingest.columns import LISTED, Columns, Rejection

IN_THREAD = 64 * 1024
"""Bytes from which decoding leaves the event loop to others."""


Piece = TypeVar("Piece")
Piece_co = TypeVar("Piece_co", covariant=True)
Stored = TypeVar("Stored", bound=Sized)


class Decoder(Protocol[Piece_co]):
    """A wire format: the bytes of a body go in as they come, pieces with some thousand records come out."""

    def feed(self, data: bytes) -> Iterator[Piece_co]:
        """Take the next bytes. Raises BodyError."""

    def finish(self) -> Iterator[Piece_co]:
        """Take the end of the body. Raises BodyError."""


class Resolver(Protocol):
    """Finds the series behind the sensors that a format names."""

    async def series_ids(self, names: Sequence[str]) -> list[int | str]:
        """For each name its series, or the reason why there is none. Raises TidemarkError."""


@dataclass(slots=True)
class Outcome:
    """What became of a body so far: records that are durable, records that were refused.

    It tells of whole pieces in their order, so what it counts is the beginning of the body, without gaps.
    """

    accepted: int = 0
    rejected: int = 0
    skipped: int = 0
    rejections: list[Rejection] = field(default_factory=list)

    def note(self, rejections: Sequence[Rejection], rejected: int) -> None:
        """Count rejected records; the first of them are listed."""
        self.rejected += rejected
        self.rejections += rejections[: LISTED - len(self.rejections)]

    def document(self) -> dict[str, Any]:
        """What a sender is told of it."""
        errors = [{"index": one.index, "field": one.field, "message": one.message} for one in self.rejections]
        return {"accepted": self.accepted, "rejected": self.rejected, "errors": errors}

    def add(self, following: "Outcome") -> None:
        """Count what became of the part of the body that follows."""
        self.accepted += following.accepted
        self.skipped += following.skipped
        self.note(following.rejections, following.rejected)


async def decoded(decoder: Decoder[Piece], body: AsyncIterator[bytes]) -> AsyncGenerator[Piece, None]:
    """The pieces of a body as it comes. Raises BodyError."""
    taken = 0
    async for data in body:
        taken += len(data)
        pieces = decoder.feed(data)
        while (piece := await _next(pieces, in_thread=len(data) >= IN_THREAD)) is not None:
            yield piece
    # Formats that do not stream decode all of the body here.
    pieces = decoder.finish()
    while (piece := await _next(pieces, in_thread=taken >= IN_THREAD)) is not None:
        yield piece


async def _next(pieces: Iterator[Piece], *, in_thread: bool) -> Piece | None:
    return await asyncio.to_thread(next, pieces, None) if in_thread else next(pieces, None)


class BodyPipeline(ABC, Generic[Piece, Stored]):
    """One body on its way. While a piece of it commits the next one is decoded, and no more than that is in memory.

    A body that does not stream is stored whole or not at all as far as `_spend` goes: it is asked for everything at
    once. Where a body is continued, `outcome` is what became of the part before.
    """

    def __init__(
        self,
        write: "Callable[[Stored], asyncio.Future[None]]",
        *,
        streams: bool,
        outcome: Outcome | None = None,
    ) -> None:
        self.outcome = outcome or Outcome()
        self._begin_write = write
        self._streams = streams
        self._waiting: list[tuple[Stored, Outcome]] = []
        self._committing: tuple[asyncio.Future[None] | None, Outcome] | None = None

    @abstractmethod
    async def _known(self, piece: Piece) -> tuple[Stored, Outcome]:
        """What of a piece can be stored, and what becomes of all of it once that is stored."""

    async def _spend(self, records: int) -> None:
        """Asked before so many records are stored; refuses by raising TidemarkError."""

    async def run(self, pieces: AsyncIterator[Piece]) -> Outcome:
        """Take a body to its end.

        Raises BodyError where it cannot be read further and TidemarkError where it cannot be stored; `outcome` then
        tells what is durable all the same.
        """
        try:
            async for piece in pieces:
                block, result = await self._known(piece)
                if self._streams:
                    await self._spend(len(block))
                    await self._write(block, result)
                else:
                    self._waiting.append((block, result))
            if self._waiting:
                await self._spend(sum(len(block) for block, _ in self._waiting))
                for block, result in self._waiting:
                    await self._write(block, result)
        finally:
            # Also when the body breaks off: what was sent is stored, and counted when it is.
            await self._committed()
        return self.outcome

    async def _write(self, block: Stored, result: Outcome) -> None:
        # One at a time: of a record that stands in the body twice the later one must win.
        await self._committed()
        self._committing = (self._begin_write(block) if len(block) else None), result

    async def _committed(self) -> None:
        if self._committing is not None:
            (future, result), self._committing = self._committing, None
            if future is not None:
                # The future belongs to the whole batch: a client that goes away must not cancel it for the others.
                await asyncio.shield(future)
            self.outcome.add(result)


class Pipeline(BodyPipeline[Columns, Block]):
    """A body of readings. `spend` is asked before readings are stored, and refuses by raising TidemarkError."""

    def __init__(
        self,
        resolver: Resolver,
        writer: BulkWriter,
        spend: Callable[[int], Awaitable[None]],
        *,
        streams: bool,
        outcome: Outcome | None = None,
    ) -> None:
        super().__init__(writer.write, streams=streams, outcome=outcome)
        self._resolver = resolver
        self._spend_readings = spend

    async def _spend(self, records: int) -> None:
        await self._spend_readings(records)

    async def _known(self, columns: Columns) -> tuple[Block, Outcome]:
        """The readings whose sensors exist, and what becomes of the piece once they are stored."""
        result = Outcome(skipped=columns.skipped)
        result.note(columns.rejections, columns.rejected)
        found = await self._resolver.series_ids(columns.names)
        series_ids = np.array([one if isinstance(one, int) else -1 for one in found], dtype=np.int32)[columns.sensor]
        block = Block(
            series_ids,
            columns.at,
            columns.value,
            columns.latitude,
            columns.longitude,
            columns.x_axis_value,
            None if columns.metadata is None else np.array(columns.metadata, dtype=object),
        )
        known = series_ids >= 0
        if not known.all():
            refused = np.flatnonzero(~known)
            result.note(
                [
                    Rejection(int(columns.index[place]), "sensor", str(found[columns.sensor[place]]))
                    for place in refused[:LISTED]
                ],
                len(refused),
            )
            block = block.take(known)
        result.accepted = len(block)
        return block, result
