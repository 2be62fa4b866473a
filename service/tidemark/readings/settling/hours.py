"""The roll-ups of hours, computed from all of their readings."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tidemark.base.time import DAY, HOUR
from tidemark.readings.columns import Block, Floats, Integers, starts_of

_HOUR_BITS = 27
"""An hour's number, counted from 1970, fits into so many bits until the year 17,000."""


@dataclass(frozen=True, slots=True)
class Hours:
    """Hours of series, each once, with the statistics of their readings; an empty hour has no minimum and maximum."""

    series_id: npt.NDArray[np.int32]
    start: Integers
    """Microseconds since 1970 UTC."""
    count: Integers
    total: Floats
    minimum: Floats
    """NaN for an empty hour."""
    maximum: Floats

    def __len__(self) -> int:
        return len(self.start)


def touched_hours(series_id: npt.NDArray[np.int32] | int, at: Integers, line: int) -> Integers:
    """The hours before the line, a whole hour, in which instants lie, as numbers for `hours_of`."""
    before = at < line
    return np.unique(_hour_of(series_id if isinstance(series_id, int) else series_id[before], at[before]))


def hours_of(block: Block, touched: Integers) -> Hours:
    """The roll-ups of hours, given as distinct numbers, of which a block, sorted, has all readings."""
    # Sorted by number, an hour that has readings is found where it starts.
    numbers = _hour_of(block.series_id, block.at)
    starts = starts_of(numbers)
    chosen = np.isin(touched, numbers[starts])
    at = np.searchsorted(numbers[starts], touched[chosen])

    def reduced(function: Any, values: Floats, empty: float) -> Floats:
        result = np.full(len(touched), empty)
        if len(at):
            result[chosen] = function.reduceat(values, starts)[at]
        return result

    count = np.zeros(len(touched), dtype=np.int64)
    count[chosen] = np.diff(starts, append=len(block))[at]
    return Hours(
        (touched >> _HOUR_BITS).astype(np.int32),
        (touched & ((1 << _HOUR_BITS) - 1)) * HOUR,
        count,
        reduced(np.add, block.value, 0.0),
        reduced(np.minimum, block.value, np.nan),
        reduced(np.maximum, block.value, np.nan),
    )


def days_of(hours: Hours, line: int) -> tuple[list[int], list[int]]:
    """The distinct (series, day) of hours, of the days that end before the line or at it."""
    days = hours.start - hours.start % DAY
    numbers = np.unique((hours.series_id.astype(np.int64) << _HOUR_BITS | days // HOUR)[days + DAY <= line])
    return (numbers >> _HOUR_BITS).tolist(), ((numbers & ((1 << _HOUR_BITS) - 1)) * HOUR).tolist()


def _hour_of(series_id: npt.NDArray[np.int32] | int, at: Integers) -> Integers:
    return np.asarray(series_id, dtype=np.int64) << _HOUR_BITS | at // HOUR
