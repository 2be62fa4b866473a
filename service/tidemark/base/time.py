"""Instants and windows, a window being the stretch of time that a query asks about."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)

MINUTE = 60_000_000
HOUR = 60 * MINUTE
DAY = 24 * HOUR
WEEK = 7 * DAY

FIRST_YEAR, LAST_YEAR = 1970, 9998
"""The years that queries may name: the day after the last one still exists in every time zone."""
EARLIEST = 0
"""The instant of the oldest reading there can be: the beginning of 1970, in microseconds since then."""
LATEST = (datetime.max.replace(tzinfo=UTC) - EPOCH) // MICROSECOND
"""Later than any reading there can be."""


@dataclass(frozen=True, slots=True)
class Window:
    """All instants with start ≤ instant < finish, in microseconds since 1970 UTC; both within EARLIEST and LATEST."""

    start: int = EARLIEST
    finish: int = LATEST

    @classmethod
    def inclusive(cls, first: int | None, last: int | None) -> "Window":
        """From the first to the last instant, both included; None leaves an end open."""
        start = EARLIEST if first is None else first
        finish = LATEST if last is None else last + 1
        return cls(min(max(start, EARLIEST), LATEST), min(max(finish, EARLIEST), LATEST))


def instant(microseconds: int) -> datetime:
    """The UTC datetime at this many microseconds since 1970."""
    return EPOCH + timedelta(microseconds=microseconds)


def microseconds(moment: datetime) -> int:
    """Microseconds since 1970 of an aware datetime."""
    return (moment - EPOCH) // MICROSECOND


_END = microseconds(datetime(LAST_YEAR + 1, 1, 1, tzinfo=UTC))


def askable(at: int) -> bool:
    """Whether an instant lies in the years that queries may name, by UTC."""
    return EARLIEST <= at < _END


def floor(at: int, unit: int) -> int:
    """The last multiple of a unit (in microseconds) at or before an instant."""
    return at - at % unit


def ceil(at: int, unit: int) -> int:
    """The first multiple of a unit (in microseconds) at or after an instant."""
    return at + -at % unit


def enclosing(days: Sequence[date]) -> tuple[datetime, datetime]:
    """Instants between which these days lie in any time zone, since offsets are less than a day.

    Days before 1970 do not extend them beyond it.
    """
    if not days:
        return EPOCH, EPOCH
    start = datetime.combine(max(min(days), date(1970, 1, 2)), datetime.min.time(), UTC)
    finish = datetime.combine(max(days), datetime.min.time(), UTC)
    return start - timedelta(days=1), finish + timedelta(days=2)
