"""What stands for buckets without readings."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum


class Fill(Enum):
    """Nothing, an empty bucket, the last value known, or the straight line between two."""

    NONE = "none"
    NULL = "null"
    PREVIOUS = "previous"
    LINEAR = "linear"


@dataclass(frozen=True, slots=True)
class Point:
    """A bucket of one group: where it begins (microseconds since 1970 UTC), and what its readings come to.

    One that was filled has no readings, so neither a minimum nor a maximum; its value may be None.
    """

    at: int
    group: int
    count: int
    value: float | None
    minimum: float | None
    maximum: float | None


def fill_gaps(
    known: Sequence[Point],
    starts: Sequence[int],
    groups: int,
    fill: Fill,
    before: Mapping[int, Point],
    after: Mapping[int, Point],
) -> list[Point]:
    """Every bucket of each group, ordered by time and group, those that are not known filled.

    `starts` says where the buckets begin; `before` and `after` have, by group, the nearest known buckets around them.
    """
    at_hand = {(point.at, point.group): point for point in known}
    following = dict(after)
    next_known: dict[tuple[int, int], Point | None] = {}
    if fill is Fill.LINEAR:
        for at in reversed(starts):
            for group in range(groups):
                next_known[at, group] = following.get(group)
                if (at, group) in at_hand:
                    following[group] = at_hand[at, group]
    last_known = dict(before)
    filled = []
    for at in starts:
        for group in range(groups):
            point = at_hand.get((at, group))
            if point is None:
                value = _value(fill, at, last_known.get(group), next_known.get((at, group)))
                filled.append(Point(at, group, 0, value, None, None))
            else:
                last_known[group] = point
                filled.append(point)
    return filled


def _value(fill: Fill, at: int, earlier: Point | None, later: Point | None) -> float | None:
    if earlier is None or earlier.value is None:
        return None
    if fill is Fill.PREVIOUS:
        return earlier.value
    if fill is Fill.LINEAR and later is not None and later.value is not None:
        share = (at - earlier.at) / (later.at - earlier.at)
        return earlier.value * (1 - share) + later.value * share
    return None
