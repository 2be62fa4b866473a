"""Where readings are to be cut into pieces: nothing that is stored may lie between the first and the last of one."""

from collections.abc import Awaitable, Callable
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from tidemark.readings.columns import Positions, ends_of

Crossed: TypeAlias = Callable[[Positions, Positions], Awaitable[npt.NDArray[np.bool_]]]
"""Flags those stretches, each from a reading to a later one of its series, between which something is stored."""


async def cuts(count: int, starts: Positions, crossed: Crossed) -> npt.NDArray[np.bool_]:
    """Flags those of so many readings, in stretches that start at these positions, between which and the one before in
    the stretch something is stored.

    Whole stretches are asked about first, and hardly any has something stored within it; only then each gap of those.
    """
    ends = ends_of(starts, count)
    cut = np.zeros(count, dtype=bool)
    inner = np.repeat(await crossed(starts, ends), ends - starts + 1)
    inner[starts] = False
    if inner.any():
        gaps = np.flatnonzero(inner)
        cut[gaps] = await crossed(gaps - 1, gaps)
    return cut
