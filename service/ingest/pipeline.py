"""The one way of bulk readings: bytes, decoded piece by piece, their sensors found, stored, acknowledged."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from service.ingest.bulk import Block, BulkWriter
from service.ingest.columns import LISTED, Columns, Decoder, Rejection

IN_THREAD = 64 * 1024
"""Bytes from which decoding leaves the event loop to others."""


class Resolver(Protocol):
    """Finds the series behind the sensors that a format names."""

    async def series_ids(self, names: Sequence[str]) -> list[int | str]:
        """For each name its series, or the reason why there is none. Raises TidemarkError."""


@dataclass(slots=True)
class Outcome:
    """What became of a body so far: readings that are durable, records that were refused."""

    accepted: int = 0
    rejected: int = 0
    skipped: int = 0
    rejections: list[Rejection] = field(default_factory=list)

    def note(self, rejections: Sequence[Rejection], rejected: int) -> None:
        """Count rejected records; the first of them are listed."""
        self.rejected += rejected
        self.rejections += rejections[: LISTED - len(self.rejections)]


class Pipeline:
    """One body on its way. While a piece of it commits the next one is decoded, and no more than that is in memory.

    `spend` is asked before readings are stored, and refuses by raising TidemarkError. A body that does not stream is
    stored whole or not at all as far as that goes: it is asked for all of its readings at once.
    """

    def __init__(
        self,
        decoder: Decoder,
        resolver: Resolver,
        writer: BulkWriter,
        spend: Callable[[int], Awaitable[None]],
        *,
        streams: bool,
    ) -> None:
        self.outcome = Outcome()
        self._decoder = decoder
        self._resolver = resolver
        self._writer = writer
        self._spend = spend
        self._streams = streams
        self._waiting: list[Block] = []
        self._committing: tuple[asyncio.Future[None], int] | None = None

    async def run(self, body: AsyncIterator[bytes]) -> Outcome:
        """Take a body to its end.

        Raises BodyError where it cannot be read further and TidemarkError where it cannot be stored; `outcome` then
        tells what is durable all the same.
        """
        try:
            async for data in body:
                await self._take(self._decoder.feed, data)
            await self._take(lambda _nothing: self._decoder.finish(), b"")
            if self._waiting:
                await self._spend(sum(map(len, self._waiting)))
                for block in self._waiting:
                    await self._write(block)
        finally:
            # Also when the body breaks off: what was sent is stored, and counted when it is.
            await self._committed()
        return self.outcome

    async def _take(self, decode: Callable[[bytes], Iterator[Columns]], data: bytes) -> None:
        pieces = decode(data)
        while True:
            if len(data) < IN_THREAD:
                piece = next(pieces, None)
            else:
                piece = await asyncio.to_thread(next, pieces, None)
            if piece is None:
                return
            block = await self._known(piece)
            if len(block) == 0:
                continue
            if self._streams:
                await self._spend(len(block))
                await self._write(block)
            else:
                self._waiting.append(block)

    async def _known(self, columns: Columns) -> Block:
        """The readings whose sensors exist; the others are noted as rejected."""
        self.outcome.skipped += columns.skipped
        self.outcome.note(columns.rejections, columns.rejected)
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
        if known.all():
            return block
        refused = np.flatnonzero(~known)
        self.outcome.note(
            [
                Rejection(int(columns.index[place]), "sensor", str(found[columns.sensor[place]]))
                for place in refused[:LISTED]
            ],
            len(refused),
        )
        return block.take(known)

    async def _write(self, block: Block) -> None:
        # One at a time: of a reading that stands in the body twice the later one must win.
        await self._committed()
        self._committing = self._writer.write(block), len(block)

    async def _committed(self) -> None:
        if self._committing is not None:
            (future, readings), self._committing = self._committing, None
            # The future belongs to the whole batch: a client that goes away must not cancel it for the others.
            await asyncio.shield(future)
            self.outcome.accepted += readings
