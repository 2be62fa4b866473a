"""The buckets that a window is divided into: minutes and hours of UTC, or the days of a time zone.

Bounds are microseconds since 1970 UTC, in order; bucket number i holds bounds[i] ≤ instant < bounds[i + 1].
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Protocol
from zoneinfo import ZoneInfo

from tidemark.base.time import DAY, EARLIEST, HOUR, LATEST, Window, ceil, floor, instant, microseconds

ONE_DAY = timedelta(days=1)


class Grid(Protocol):
    """A way to divide time into buckets."""

    def bounds(self, window: Window) -> Sequence[int]:
        """The bounds of all buckets that overlap the window, not clipped to it; empty for an empty window."""

    def around(self, at: int) -> Window:
        """The bucket that contains an instant."""


@dataclass(frozen=True, slots=True)
class Even:
    """Buckets of equal length, in microseconds, that begin at multiples of it since 1970 UTC."""

    unit: int

    def bounds(self, window: Window) -> Sequence[int]:
        """The bounds of all buckets that overlap the window, not clipped to it; empty for an empty window."""
        if window.finish <= window.start:
            return ()
        return range(floor(window.start, self.unit), ceil(window.finish, self.unit) + 1, self.unit)

    def around(self, at: int) -> Window:
        """The bucket that contains an instant."""
        return Window(floor(at, self.unit), floor(at, self.unit) + self.unit)


HOURS = Even(HOUR)
UTC_DAYS = Even(DAY)


def enclosing(grid: Grid) -> Even | None:
    """The next coarser buckets of the roll-ups, hours or UTC days, which these divide; None for days of a time zone."""
    return next((one for one in (HOURS, UTC_DAYS) if isinstance(grid, Even) and grid.unit < one.unit), None)


@dataclass(frozen=True, slots=True)
class CalendarDays:
    """Days of a time zone, each from the first instant of its date to that of the next: usually 23 to 25 hours."""

    zone: ZoneInfo

    def bounds(self, window: Window) -> list[int]:
        """The bounds of all days that overlap the window, not clipped to it; empty for an empty window."""
        if window.finish <= window.start:
            return []
        day = self._date(window.start)
        found = [day_start(day, self.zone)]
        while found[-1] < window.finish:
            day += ONE_DAY
            start = day_start(day, self.zone)
            # A zone that moves across the date line skips a date.
            if start > found[-1]:
                found.append(start)
        return found

    def around(self, at: int) -> Window:
        """The day that contains an instant."""
        first, last = self.bounds(Window(at, at + 1))
        return Window(first, last)

    def _date(self, at: int) -> date:
        day = instant(at).astimezone(self.zone).date()
        # A clock that is set back across midnight shows the old date again, but the new day has already begun.
        return day + ONE_DAY if day_start(day + ONE_DAY, self.zone) <= at else day


def day_start(day: date, zone: ZoneInfo) -> int:
    """The first instant of a date: its midnight, or, if clocks skip midnight, the instant at which they do."""
    return microseconds(datetime.combine(day, time(), zone).astimezone(UTC))


def window_of_days(first: date, last: date, zone: ZoneInfo) -> Window:
    """From the start of one day to the end of another."""
    start, finish = day_start(first, zone), day_start(last + ONE_DAY, zone)
    return Window(max(start, EARLIEST), min(max(finish, EARLIEST), LATEST))
