"""Plans which tier serves which part of a window: raw readings, hourly or daily roll-ups."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise

from tidemark.base.time import DAY, HOUR, WEEK, Window, ceil, floor, instant


@dataclass(frozen=True, slots=True)
class Tiers:
    """A window divided by six bounds, in order; microseconds since 1970 UTC.

    Raw readings serve start to hours_start and hours_finish to finish; hours serve hours_start to days_start and
    days_finish to hours_finish; days serve days_start to days_finish. Any of these may be empty.
    """

    start: int
    hours_start: int
    days_start: int
    days_finish: int
    hours_finish: int
    finish: int

    def instants(self) -> dict[str, datetime]:
        """The bounds as parameters of statements."""
        return {
            "start": instant(self.start),
            "hours_start": instant(self.hours_start),
            "days_start": instant(self.days_start),
            "days_finish": instant(self.days_finish),
            "hours_finish": instant(self.hours_finish),
            "finish": instant(self.finish),
        }


def plan(window: Window, read_line: int) -> Tiers:
    """Divide a window into the fewest parts that roll-ups before the read line allow.

    The read line is a whole hour. A line older than the current one costs time, never exactness.
    """
    start, finish = window.start, max(window.start, window.finish)
    hours_start, hours_finish = ceil(start, HOUR), min(floor(finish, HOUR), read_line)
    if hours_start >= hours_finish:
        return Tiers(start, finish, finish, finish, finish, finish)
    days_start, days_finish = ceil(hours_start, DAY), floor(hours_finish, DAY)
    if days_start >= days_finish:
        return Tiers(start, hours_start, hours_finish, hours_finish, hours_finish, finish)
    return Tiers(start, hours_start, days_start, days_finish, hours_finish, finish)


@dataclass(frozen=True, slots=True)
class Cover:
    """The tiers that serve each part of a window with buckets; microseconds since 1970 UTC.

    Days serve the days of `tiers` except `open_days`; hours serve those and the hours of `tiers`, except `raw_hours`.
    Raw readings serve the rest, `raw`: intervals in order, each without its end.
    """

    tiers: Tiers
    raw: list[tuple[int, int]]
    raw_hours: list[int]
    open_days: list[int]


def cover(window: Window, bounds: Sequence[int], read_line: int, late_hours: Iterable[int]) -> Cover:
    """Plan a window whose buckets have these bounds; `late_hours` has the starts of hours whose roll-ups are outdated.

    Late hours, and hours that a bound cuts in two, are read raw. Days are used only if no bound cuts one. Buckets
    shorter than an hour are all read raw, except empty stretches: each of these is one longer bucket, never the first.
    """
    if len(bounds) > 1 and bounds[1] - bounds[0] < HOUR:
        finish = max(window.start, window.finish)
        return Cover(Tiers(window.start, *[finish] * 5), _held(Window(window.start, finish), bounds), [], [])
    tiers = plan(window, read_line)
    inner = bounds[1:-1]
    if any(bound % DAY for bound in inner):
        hours = (tiers.hours_start, tiers.hours_finish, tiers.hours_finish, tiers.hours_finish)
        tiers = Tiers(tiers.start, *hours, tiers.finish)
    cut = {floor(bound, HOUR) for bound in inner if bound % HOUR}
    raw_hours = sorted(hour for hour in cut.union(late_hours) if tiers.hours_start <= hour < tiers.hours_finish)
    pieces = [
        (tiers.start, tiers.hours_start),
        *((hour, hour + HOUR) for hour in raw_hours),
        (tiers.hours_finish, tiers.finish),
    ]
    raw: list[tuple[int, int]] = []
    for start, finish in pieces:
        if raw and raw[-1][1] == start:
            raw[-1] = (raw[-1][0], finish)
        elif start < finish:
            raw.append((start, finish))
    in_days = (floor(hour, DAY) for hour in raw_hours if tiers.days_start <= hour < tiers.days_finish)
    return Cover(tiers, raw, raw_hours, sorted(set(in_days)))


def _held(window: Window, bounds: Sequence[int]) -> list[tuple[int, int]]:
    """A window without those empty stretches that would make one of its parts span more than four weeks.

    A scan that spans decades opens all of their chunks (or partitions), even those without matching readings.
    """
    unit, start = bounds[1] - bounds[0], window.start
    found: list[tuple[int, int]] = []
    for bound, following in pairwise(bounds):
        if following - bound > unit and following - start > 4 * WEEK:
            found.append((start, bound))
            start = following
    return [*found, (start, window.finish)] if start < window.finish else found
