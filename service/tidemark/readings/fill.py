"""How buckets without readings are filled."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum


class Fill(Enum):
    """What an empty bucket becomes: nothing, one without a value, or one with the previous or interpolated value."""

    NONE = "none"
    NULL = "null"
    PREVIOUS = "previous"
    LINEAR = "linear"


@dataclass(frozen=True, slots=True)
class Point:
    """A bucket of a group: its start (microseconds since 1970 UTC), and the count, mean and extremes of its readings.

    A filled bucket has no readings, hence neither a minimum nor a maximum; its value may be None.
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
    """Return every bucket of each group, ordered by time and group, and fill those that are not known.

    `starts` has the starts of the buckets; `before` and `after` have, by group, the nearest known buckets around them.
    """
    known_points = {(point.at, point.group): point for point in known}
    following = dict(after)
    next_known: dict[tuple[int, int], Point | None] = {}
    if fill is Fill.LINEAR:
        for at in reversed(starts):
            for group in range(groups):
                next_known[at, group] = following.get(group)
                if (at, group) in known_points:
                    following[group] = known_points[at, group]
    last_known = dict(before)
    filled = []
    for at in starts:
        for group in range(groups):
            point = known_points.get((at, group))
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
