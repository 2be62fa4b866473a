"""Columns in the making, for formats whose readings are decoded one after the other."""

import numpy as np

from tidemark.base.errors import FieldError
from tidemark.bodies.outcome import LISTED, Rejection
from tidemark.readings.columns import Columns


class Piece:
    """Readings of a stretch of a body, gathered until they are worth storing."""

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
        """Whether there is nothing to tell, neither readings nor what became of others."""
        return not (self._at or self.rejected or self.skipped)

    def take(self, sensor: str, index: int, at: list[int], value: list[float]) -> None:
        """Take readings of a sensor that stand in the record at this position; `at` in microseconds since 1970 UTC."""
        self._sensor += [self._sensors.setdefault(sensor, len(self._sensors))] * len(at)
        self._at += at
        self._value += value
        self._index += [index] * len(at)

    def reject(self, index: int, error: FieldError, count: int = 1) -> None:
        """Refuse so many readings of the record at this position."""
        self.rejected += count
        if len(self._rejections) < LISTED:
            self._rejections.append(Rejection(index, error.field, error.message))

    def columns(self) -> Columns:
        """What was taken so far."""
        return Columns(
            names=list(self._sensors),
            sensor=np.array(self._sensor, dtype=np.int32),
            at=np.array(self._at, dtype=np.int64),
            value=np.array(self._value, dtype=np.float64),
            index=np.array(self._index, dtype=np.int64),
            rejections=self._rejections,
            rejected=self.rejected,
            skipped=self.skipped,
        )
