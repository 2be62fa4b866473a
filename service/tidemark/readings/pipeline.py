"""Bodies of readings: their sensors are looked up, then they are counted against the limit and stored."""

from collections.abc import Callable, Coroutine, Sequence
from operator import attrgetter
from typing import Any, Protocol, TypeAlias

import numpy as np

from tidemark.bodies.outcome import Outcome, Rejection
from tidemark.bodies.pipeline import MAX_REJECTIONS, BodyPipeline
from tidemark.catalog.directory import UNKNOWN, SeriesIds
from tidemark.readings.columns import Block
from tidemark.readings.wire.piece import Piece


class Resolver(Protocol):
    """Finds the series of the sensors that a body names."""

    async def series_ids(self, names: Sequence[str]) -> SeriesIds:
        """The series of each name, `UNKNOWN` if there is none. Raises TidemarkError."""

    def why_unknown(self, name: str) -> str:
        """The error message for a name without a series."""


Store: TypeAlias = Callable[[Block], Coroutine[Any, Any, None]]
"""Returns once the readings are durable. Raises TidemarkError."""


class Spend(Protocol):
    """Counts readings against a limit."""

    async def __call__(self, readings: int, *, together: bool) -> int:
        """Return how many of the readings may be stored: all of them if they must be stored together.

        Raises TidemarkError if none may be stored.
        """


class ReadingPipeline(BodyPipeline[Piece, Block]):
    """A body of readings. `spend` is called before they are stored; see `quota.spend`."""

    def __init__(
        self,
        resolver: Resolver,
        store: Store,
        spend: Spend,
        *,
        streams: bool,
        outcome: Outcome | None = None,
        max_rejections: int | None = MAX_REJECTIONS,
    ) -> None:
        super().__init__(store, streams=streams, outcome=outcome, max_rejections=max_rejections)
        self._resolver = resolver
        self._spend = spend

    async def _allow_all(self, records: int) -> None:
        await self._spend(records, together=True)

    async def _allow_some(self, block: Block) -> tuple[Block, Block | None]:
        granted = await self._spend(len(block), together=False)
        if granted == len(block):
            return block, None
        return block.take(slice(granted)), block.take(slice(granted, None))

    async def _known(self, piece: Piece) -> tuple[Block, Outcome]:
        """The readings whose sensors exist, and the outcome for the others."""
        series_ids = (await self._resolver.series_ids(piece.names))[piece.sensor]
        block = Block(series_id=series_ids, at=piece.at, value=piece.value, optional=piece.optional)
        kept = series_ids != UNKNOWN
        rejections, rejected = piece.rejections, piece.rejected
        if not kept.all():
            unknown = [
                Rejection(int(piece.index[row]), "sensor", self._resolver.why_unknown(piece.names[piece.sensor[row]]))
                for row in np.flatnonzero(~kept)
            ]
            rejections = sorted([*rejections, *unknown], key=attrgetter("index"))
            rejected += len(unknown)
        if len(rejections) == rejected and (last := self._last(rejections)) is not None:
            kept &= piece.index <= last
            rejections = [one for one in rejections if one.index <= last]
            rejected = len(rejections)
        result = Outcome(skipped=piece.skipped)
        result.note(rejections, rejected)
        return block if kept.all() else block.take(kept), result
