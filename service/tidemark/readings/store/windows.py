"""Windows of series: the stretches of the store that a change concerns."""

from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

from tidemark.base.time import HOUR
from tidemark.readings.columns import Block, Integers

NEAR = HOUR
"""Windows of a series that are no farther apart are joined: what is stored in between is rewritten with them."""


@dataclass(frozen=True, slots=True)
class Windows:
    """Stretches of time, each of one series, sorted by series and start; those of a series do not overlap."""

    series_id: npt.NDArray[np.int32]
    start: Integers
    """Microseconds since 1970 UTC."""
    finish: Integers
    """The last microsecond that belongs to the window."""

    def parameters(self) -> dict[str, list[int]]:
        """As statements take them."""
        return {
            "series_ids": self.series_id.tolist(),
            "starts": self.start.tolist(),
            "finishes": self.finish.tolist(),
        }

    def __len__(self) -> int:
        return len(self.series_id)

    @classmethod
    def of(cls, series_id: int, start: int, finish: int) -> Self:
        """One window of one series."""
        return cls(np.array([series_id], dtype=np.int32), np.array([start]), np.array([finish]))

    @classmethod
    def around(cls, block: Block, line: int) -> Self:
        """The windows in which the readings of a block lie, which are sorted.

        Before the line, a whole hour, they are whole hours: who rewrites such a window sees all readings of its hours.
        """
        before = block.at < line
        start = np.where(before, block.at - block.at % HOUR, block.at)
        finish = np.where(before, start + (HOUR - 1), block.at)
        first = np.ones(len(block), dtype=bool)
        first[1:] = (block.series_id[1:] != block.series_id[:-1]) | (start[1:] > finish[:-1] + NEAR)
        last = np.append(first[1:], True)
        return cls(block.series_id[first], start[first], finish[last])
