"""Decoded readings in columns: what every bulk format becomes before it is stored."""

from dataclasses import dataclass, field
from typing import TypeAlias

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
