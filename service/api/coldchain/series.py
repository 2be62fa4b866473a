"""`GET /api/v1/series`: any sensors over any window, raw or in buckets."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from aiohttp import hdrs, web

from service.access import Principal, Sensor
from service.api import limits
from service.api.coldchain import answering
from service.api.coldchain.answering import Items
from service.api.coldchain.parameters import choice, day, fill, moment, names, timezone
from service.api.coldchain.sensor_data import bucket, timezone_of
from service.api.core import CORE, Core
from service.api.platform.paging import Page, parse_page, whole_number
from service.errors import invalid
from service.ingest.values import format_instant
from service.query.buckets import Days, Grid, Hours, window_of_days
from service.query.fill import Fill
from service.query.series import count_buckets, count_readings, page_of_buckets, page_of_readings
from service.query.window import DAY, HOUR, Window

if TYPE_CHECKING:
    from service.storage.database import Connected

MAX_SENSORS = 1000
MAX_BUCKETS = 50_000
"""Buckets that a window may be cut into: more than five years of hours, more than a century of days."""
DEFAULT_MAX_POINTS = 2000
"""Five years of days have 1827."""
MAX_POINTS = 1_000_000
_COLUMNS = ("timestamp", "sensor_id", "value", "sample_count")
_BUCKET_COLUMNS = (*_COLUMNS, "min_value", "max_value")


@dataclass(frozen=True, slots=True)
class _Asked:
    sensors: Sequence[str]
    start: int | date
    end: int | date
    aggregation: str
    max_points: int
    zone: ZoneInfo | None
    fill: Fill
    page: Page


def routes() -> list[tuple[str, str, Callable[[web.Request], Awaitable[web.Response]]]]:
    """Method, path below the surface's base, and handler."""
    return [(hdrs.METH_GET, "series", _series)]


async def _series(request: web.Request) -> web.Response:
    principal = await limits.limited(request, "sensor_data")
    asked = _parse(request)
    core = request.app[CORE]

    async def find() -> Items:
        sensors = await visible_sensors(core, principal, asked.sensors)
        async with core.database.snapshot() as connection, connection.transaction():
            return await _find(connection, principal, asked, sensors)

    columns = _COLUMNS if asked.aggregation == "raw" else _BUCKET_COLUMNS
    return await answering.answer(request, principal, asked.page, find, columns)


async def visible_sensors(core: Core, principal: Principal, ids: Sequence[str]) -> list[Sensor]:
    """The caller's sensors of these ids, by id.

    Raises TidemarkError (400) for one that is unknown, another company's or outside the token's list, without telling
    which.
    """
    found = await core.access.sensors(principal.company_id, ids)
    for sensor_id in ids:
        sensor = found.get(sensor_id)
        if sensor is None or not principal.sees(sensor.asset_id):
            raise invalid("sensors", f"There is no sensor {sensor_id[:100]!r} here.")
    return [found[sensor_id] for sensor_id in sorted(ids)]


def sensor_list(request: web.Request) -> tuple[str, ...]:
    """The sensors that are asked for, none where the parameter is not there. Raises TidemarkError."""
    found = names(request.query, "sensors")
    if len(found) > MAX_SENSORS:
        raise invalid("sensors", f"sensors are at most {MAX_SENSORS} at a time.")
    return found


def _parse(request: web.Request) -> _Asked:
    query = request.query
    page = parse_page(query, "sensors", "start", "end", "aggregation", "max_points", "timezone", "fill")
    sensors = sensor_list(request)
    if not sensors:
        raise invalid("sensors", "sensors is required: one or more sensor ids, separated by commas.")
    start, end = (_moment(name, query.get(name)) for name in ("start", "end"))
    aggregation = choice(query, "aggregation", "raw", "raw", "hourly", "daily", "auto")
    if "max_points" in query and aggregation != "auto":
        raise invalid("max_points", "max_points is for aggregation=auto.")
    max_points = whole_number(query, "max_points", DEFAULT_MAX_POINTS, MAX_POINTS)
    found = fill(query, raw=aggregation == "raw")
    return _Asked(sensors, start, end, aggregation, max_points, timezone(query), found, page)


def _moment(name: str, given: str | None) -> int | date:
    """An instant in microseconds since 1970 UTC, or a whole day."""
    if not given:
        raise invalid(name, f"{name} is required: a date, or a date and time in ISO 8601.")
    return day(name, given) if len(given) == len("YYYY-MM-DD") else moment(name, given)


def _window(asked: _Asked, zone: ZoneInfo) -> Window:
    """From start to end, both included: a date with the whole of its day in the time zone."""
    start = window_of_days(asked.start, asked.start, zone).start if isinstance(asked.start, date) else asked.start
    last = window_of_days(asked.end, asked.end, zone).finish - 1 if isinstance(asked.end, date) else asked.end
    if last < start:
        raise invalid("end", "end is before start.")
    window = Window.inclusive(start, last)
    unit, units = (HOUR, "hours") if asked.aggregation == "hourly" else (DAY, "days")
    if window.finish - window.start > MAX_BUCKETS * unit:
        raise invalid("end", f"From start to end there are more than {MAX_BUCKETS} {units}; ask for less at a time.")
    return window


async def _find(connection: "Connected", principal: Principal, asked: _Asked, sensors: Sequence[Sensor]) -> Items:
    zone = asked.zone or await timezone_of(connection, principal)
    window = _window(asked, zone)
    grids: dict[str, Grid] = {"hourly": Hours(), "daily": Days(zone)}
    aggregation = asked.aggregation
    if aggregation == "auto":
        aggregation = await _finest(connection, asked, [sensor.series_id for sensor in sensors], window, grids)
    page = asked.page
    if aggregation == "raw":
        ids = {sensor.series_id: sensor.id for sensor in sensors}
        readings, total = await page_of_readings(connection, list(ids), window, page.size, page.skip)
        items = [
            {
                "timestamp": format_instant(reading.at),
                "sensor_id": ids[reading.series_id],
                "value": reading.value,
                "sample_count": 1,
            }
            for reading in readings
        ]
    else:
        groups = [[sensor.series_id] for sensor in sensors]
        points, total = await page_of_buckets(
            connection, groups, window, grids[aggregation], asked.fill, page.size, page.skip
        )
        items = [bucket("sensor_id", sensors[point.group].id, point) for point in points]
    return Items(items, total, {"aggregation": aggregation})


async def _finest(
    connection: "Connected", asked: _Asked, series_ids: Sequence[int], window: Window, grids: dict[str, Grid]
) -> str:
    """The finest aggregation that keeps within `max_points`. Raises TidemarkError where none does."""
    points = 0
    if asked.fill is Fill.NONE:
        points = await count_readings(connection, series_ids, window)
        if points <= asked.max_points:
            return "raw"
    for aggregation, grid in grids.items():
        if aggregation == "hourly" and window.finish - window.start > MAX_BUCKETS * HOUR:
            continue
        if asked.fill is Fill.NONE:
            points = await count_buckets(connection, [[one] for one in series_ids], window, grid)
        else:
            points = max(0, len(grid.bounds(window)) - 1) * len(series_ids)
        if points <= asked.max_points:
            return aggregation
    raise invalid(
        "max_points",
        f"Even by days there are {points} points, more than {asked.max_points}; shorten the window, ask for fewer "
        "sensors, or raise max_points.",
    )
