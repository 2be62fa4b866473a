"""Readings in columns: what every bulk format becomes, and what is stored."""

from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from tidemark.bodies.outcome import Rejection

Floats: TypeAlias = npt.NDArray[np.float64]
Integers: TypeAlias = npt.NDArray[np.int64]


@dataclass(slots=True)
class Columns:
    """Readings of one piece of a body, in the order in which they stood there."""

    names: list[str]
    """The distinct sensors, as the format names them."""
    sensor: npt.NDArray[np.int32]
    """For each reading, the position of its sensor in `names`."""
    at: Integers
    """Microseconds since 1970 UTC."""
    value: Floats
    index: Integers
    """Which record of the body each reading came from, counted from 0."""
    latitude: Floats | None = None
    """NaN where a reading has none; None where no reading of the piece has one. The two below are alike."""
    longitude: Floats | None = None
    x_axis_value: Floats | None = None
    metadata: list[str | None] | None = None
    """JSON text, None where a reading has none."""
    rejections: list[Rejection] = field(default_factory=list)
    """The rejected records; of formats whose records have many readings, perhaps the first of them alone."""
    rejected: int = 0
    """How many there are in all."""
    skipped: int = 0
    """Samples that the format lets a sender include but that are no readings."""

    def __len__(self) -> int:
        return len(self.at)


@dataclass(slots=True)
class Block:
    """Readings of known series in columns; NaN stands for an absent coordinate, None for an absent column."""

    series_id: npt.NDArray[np.int32]
    at: npt.NDArray[np.int64]
    value: npt.NDArray[np.float64]
    latitude: npt.NDArray[np.float64] | None = None
    longitude: npt.NDArray[np.float64] | None = None
    x_axis_value: npt.NDArray[np.float64] | None = None
    metadata: npt.NDArray[np.object_] | None = None

    def __len__(self) -> int:
        return len(self.at)

    def take(self, chosen: npt.NDArray[Any] | slice) -> "Block":
        """The readings at these positions, or where a mask is true."""
        return Block(
            self.series_id[chosen],
            self.at[chosen],
            self.value[chosen],
            None if self.latitude is None else self.latitude[chosen],
            None if self.longitude is None else self.longitude[chosen],
            None if self.x_axis_value is None else self.x_axis_value[chosen],
            None if self.metadata is None else self.metadata[chosen],
        )


def merged(blocks: list[Block]) -> Block:
    """All readings sorted by (series, instant); of those that share both, the last one alone."""
    if len(blocks) == 1:
        whole = blocks[0]
    else:
        whole = Block(
            np.concatenate([block.series_id for block in blocks]),
            np.concatenate([block.at for block in blocks]),
            np.concatenate([block.value for block in blocks]),
            _joined(blocks, "latitude"),
            _joined(blocks, "longitude"),
            _joined(blocks, "x_axis_value"),
            _joined_texts(blocks),
        )
    order = np.lexsort((whole.at, whole.series_id))  # stable: equal keys stay in the order of their arrival
    whole = whole.take(order)
    last = np.ones(len(whole), dtype=bool)
    last[:-1] = (whole.series_id[1:] != whole.series_id[:-1]) | (whole.at[1:] != whole.at[:-1])
    return whole if last.all() else whole.take(last)


def _joined(blocks: list[Block], name: str) -> npt.NDArray[np.float64] | None:
    columns = [getattr(block, name) for block in blocks]
    if all(column is None for column in columns):
        return None
    return np.concatenate(
        [
            np.full(len(block), np.nan) if column is None else column
            for block, column in zip(blocks, columns, strict=True)
        ]
    )


def _joined_texts(blocks: list[Block]) -> npt.NDArray[np.object_] | None:
    if all(block.metadata is None for block in blocks):
        return None
    return np.concatenate(
        [np.full(len(block), None, dtype=object) if block.metadata is None else block.metadata for block in blocks]
    )
