"""The resolution in which a window is shown: raw readings, or buckets of minutes, hours or days."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from tidemark.base.errors import TidemarkError, invalid
from tidemark.base.time import DAY, HOUR, MINUTE, Window
from tidemark.readings.buckets import HOURS, CalendarDays, Even, Grid
from tidemark.readings.fill import Fill
from tidemark.readings.series import Groups, count_buckets, count_readings, has_at_most

if TYPE_CHECKING:
    from tidemark.database.database import Connected

RAW, AUTO, DAILY = "raw", "auto", "daily"
_EVEN: Mapping[str, Even] = {
    "minute": Even(MINUTE),
    "5_minutes": Even(5 * MINUTE),
    "15_minutes": Even(15 * MINUTE),
    "hourly": HOURS,
}
AGGREGATIONS = (RAW, *_EVEN, DAILY)
"""From fine to coarse."""
MAX_BUCKETS = 50_000
"""Largest number of buckets of an aggregation requested by name: 34 days of minutes, more than five years of hours,
more than a century of days. With `auto`, a window may be as long as with days, and `max_points` limits the result."""
MAX_SUMMED = 20_000_000
"""Largest number of raw readings that one response may sum up by minutes, for which there is no roll-up: some ten
seconds of work."""

_NOUNS = {"minute": "minutes", "5_minutes": "five minutes", "15_minutes": "quarters of an hour", "hourly": "hours"}


def grid_of(aggregation: str, zone: ZoneInfo) -> Grid:
    """The buckets of an aggregation other than raw; days are those of the time zone."""
    return _EVEN.get(aggregation) or CalendarDays(zone)


def check_length(window: Window, aggregation: str, limit: int = MAX_BUCKETS) -> None:
    """Raise TidemarkError for a window of too many buckets; for raw and auto, the length may be that of daily."""
    days, buckets = -(-(window.finish - window.start) // DAY), _count(window, aggregation)
    if days > MAX_BUCKETS:
        raise _too_much(f"{MAX_BUCKETS} days")
    if buckets > limit:
        raise _too_much(f"{limit} {_NOUNS[aggregation]}")


async def check_summed(
    connection: "Connected", series_ids: Sequence[int], window: Window, aggregation: str, fill: Fill
) -> None:
    """Raise TidemarkError if too many readings would be summed up by minutes; with a fill, each page reads its own."""
    if fill is not Fill.NONE or not _is_short(aggregation):
        return
    if await count_readings(connection, series_ids, window) > MAX_SUMMED:
        raise _too_much(f"{MAX_SUMMED} readings to sum up by minutes")


async def finest(
    connection: "Connected", series_ids: Sequence[int], window: Window, zone: ZoneInfo, fill: Fill, max_points: int
) -> str:
    """The finest aggregation with at most `max_points` items over all series. Raises TidemarkError if there is none.

    With a fill, every bucket of the window is an item; without one, only buckets that hold readings are. Roll-ups count
    the readings and the hours. Raw readings are scanned for shorter buckets only if the hours that hold readings fit
    but all the minutes of the window would not, and only until there are too many buckets.
    """
    groups = [[one] for one in series_ids]
    if fill is Fill.NONE:
        readings = await count_readings(connection, series_ids, window)
        if readings <= max_points:
            return RAW
        names = [name for name in _EVEN if readings <= MAX_SUMMED or not _is_short(name)]
        found = await _finest_held(connection, groups, window, zone, names, max_points)
    else:
        found = next((one for one in (*_EVEN, DAILY) if _slots(groups, window, grid_of(one, zone)) <= max_points), None)
    if found is not None:
        return found
    days = (
        await count_buckets(connection, groups, window, CalendarDays(zone))
        if fill is Fill.NONE
        else _slots(groups, window, CalendarDays(zone))
    )
    raise invalid(
        "max_points",
        f"Even by day there are {days} points, more than {max_points}; shorten the window, ask for fewer sensors, or "
        "raise max_points.",
    )


async def _finest_held(
    connection: "Connected", groups: Groups, window: Window, zone: ZoneInfo, names: Sequence[str], max_points: int
) -> str | None:
    """The finest of `names` (from fine to coarse), or else days, with at most `max_points` buckets that hold readings.

    Once one has too many, all finer ones have too many. Days are checked separately: midnight may cut an hour in two.
    """
    found = None
    for name in reversed(names):
        grid = _EVEN[name]
        if _slots(groups, window, grid) > max_points and not await has_at_most(
            connection, groups, window, grid, max_points
        ):
            break
        found = name
    if found is None and await has_at_most(connection, groups, window, CalendarDays(zone), max_points):
        return DAILY
    return found


def _slots(groups: Groups, window: Window, grid: Grid) -> int:
    """The number of buckets in a window, with or without readings, counted for each group separately."""
    return len(groups) * max(0, len(grid.bounds(window)) - 1)


def _is_short(aggregation: str) -> bool:
    return aggregation in _EVEN and _EVEN[aggregation].unit < HOUR


def _count(window: Window, aggregation: str) -> int:
    """The approximate number of buckets in a window."""
    unit = _EVEN[aggregation].unit if aggregation in _EVEN else DAY
    return -(-(window.finish - window.start) // unit)


def _too_much(what: str) -> TidemarkError:
    return invalid("end", f"The window from start to end has more than {what}; shorten it.")
