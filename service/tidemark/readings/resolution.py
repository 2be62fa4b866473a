"""How finely a window is shown: as raw readings, or in buckets of minutes, hours or days."""

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
"""Buckets of an aggregation that is asked for by name: 34 days of minutes, more than five years of hours, a century of
days and more. A window of `auto` is as long as days allow; what it is shown in keeps within `max_points`."""
MAX_SUMMED = 20_000_000
"""Raw readings that one answer may sum up into minutes, since no roll-up has them; that takes some ten seconds."""

_NOUNS = {"minute": "minutes", "5_minutes": "five minutes", "15_minutes": "quarters of an hour", "hourly": "hours"}


def grid_of(aggregation: str, zone: ZoneInfo) -> Grid:
    """The buckets of an aggregation that has some, days by this time zone."""
    return _EVEN.get(aggregation) or CalendarDays(zone)


def check_length(window: Window, aggregation: str, most: int = MAX_BUCKETS) -> None:
    """Raise TidemarkError for a window of too many buckets; raw and auto may be as long as daily."""
    days, buckets = -(-(window.finish - window.start) // DAY), _count(window, aggregation)
    if days > MAX_BUCKETS:
        raise _too_much(f"{MAX_BUCKETS} days")
    if buckets > most:
        raise _too_much(f"{most} {_NOUNS[aggregation]}")


async def check_summed(
    connection: "Connected", series_ids: Sequence[int], window: Window, aggregation: str, fill: Fill
) -> None:
    """Raise TidemarkError where too many readings would be summed up by minutes; with a fill, a page reads its own."""
    if fill is not Fill.NONE or not _is_short(aggregation):
        return
    if await count_readings(connection, series_ids, window) > MAX_SUMMED:
        raise _too_much(f"{MAX_SUMMED} readings to sum up by minutes")


async def finest(
    connection: "Connected", series_ids: Sequence[int], window: Window, zone: ZoneInfo, fill: Fill, max_points: int
) -> str:
    """The finest aggregation that has at most so many items, of all series together. Raises TidemarkError.

    With a fill every bucket of the window is an item, without one those that hold readings. Readings and hours are
    counted by roll-ups. Only where the hours that hold readings fit, and not all the minutes of the window do, are raw
    readings looked through for shorter buckets, up to where there are too many of these.
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
        f"Even by days there are {days} points, more than {max_points}; shorten the window, ask for fewer sensors, or "
        "raise max_points.",
    )


async def _finest_held(
    connection: "Connected", groups: Groups, window: Window, zone: ZoneInfo, names: Sequence[str], max_points: int
) -> str | None:
    """The finest of some aggregations, given from fine to coarse, or else days, of which at most so many hold readings.

    None that is finer than one with too many has fewer. Days are apart: midnight may cut an hour in two.
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
    """How many buckets a window is cut into, those of each group counted for themselves, whether they hold readings."""
    return len(groups) * max(0, len(grid.bounds(window)) - 1)


def _is_short(aggregation: str) -> bool:
    return aggregation in _EVEN and _EVEN[aggregation].unit < HOUR


def _count(window: Window, aggregation: str) -> int:
    """How many buckets a window is cut into, about."""
    unit = _EVEN[aggregation].unit if aggregation in _EVEN else DAY
    return -(-(window.finish - window.start) // unit)


def _too_much(what: str) -> TidemarkError:
    return invalid("end", f"From start to end there are more than {what}; ask for less at a time.")
