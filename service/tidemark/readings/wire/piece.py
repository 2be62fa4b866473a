"""A decoded piece of a body, which every wire format yields, and a builder for formats that decode one by one."""

from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from tidemark.base.errors import FieldError
from tidemark.bodies.outcome import LISTED, Rejection
from tidemark.readings.columns import Columns, Integers


@dataclass(slots=True, kw_only=True)
class Piece(Columns):
    """Readings whose sensors have not been looked up yet, in the order of the body."""

    names: list[str]
    """The distinct sensors, as the format names them."""
    sensor: npt.NDArray[np.int32]
    """For each reading, the index of its sensor in `names`."""
    index: Integers
    """For each reading, the position of its record in the body, counted from 0."""
    rejections: list[Rejection] = field(default_factory=list)
    """The rejections; formats whose records can have many readings may list only the first ones."""
    rejected: int = 0
    """The total number of rejections."""
    skipped: int = 0
    """Number of samples that the format allows but that are not readings."""

    _required: ClassVar[tuple[str, ...]] = ("sensor", "at", "value", "index")


class PieceBuilder:
    """Collects readings one by one for a piece."""

    def __init__(self) -> None:
        self._sensors: dict[str, int] = {}
        self._sensor: list[int] = []
        self._at: list[int] = []
        self._value: list[float] = []
        self._index: list[int] = []
        self._rejections: list[Rejection] = []
        self.rejected = 0
        self.skipped = 0

    def __len__(self) -> int:
        return len(self._at)

    @property
    def is_empty(self) -> bool:
        """Whether there are neither readings, nor rejected or skipped ones."""
        return not (self._at or self.rejected or self.skipped)

    def take(self, sensor: str, index: int, at: list[int], value: list[float]) -> None:
        """Add readings of a sensor from the record at position `index`; `at` is in microseconds since 1970 UTC."""
        self._sensor += [self._sensors.setdefault(sensor, len(self._sensors))] * len(at)
        self._at += at
        self._value += value
        self._index += [index] * len(at)

    def reject(self, index: int, error: FieldError, count: int = 1) -> None:
        """Reject `count` readings of the record at position `index`."""
        self.rejected += count
        if len(self._rejections) < LISTED:
            self._rejections.append(Rejection(index, error.field, error.message))

    def piece(self) -> Piece:
        """The piece with everything collected so far."""
        return Piece(
            names=list(self._sensors),
            sensor=np.array(self._sensor, dtype=np.int32),
            at=np.array(self._at, dtype=np.int64),
            value=np.array(self._value, dtype=np.float64),
            index=np.array(self._index, dtype=np.int64),
            rejections=self._rejections,
            rejected=self.rejected,
            skipped=self.skipped,
        )
