"""`GET /api/v1/sensor-data`: what the sensors of a cooling unit measured, by what they measure."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from itertools import groupby
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from aiohttp import web

from tidemark.base.errors import invalid
from tidemark.base.values import format_instant
from tidemark.catalog import cooling_units
from tidemark.catalog.organizations import timezone_of
from tidemark.catalog.principal import Principal
from tidemark.database.statements import statements
from tidemark.http import items as answering
from tidemark.http import limits
from tidemark.http.core import CORE
from tidemark.http.items import Items
from tidemark.http.paging import PAGING, Page
from tidemark.http.parameters import Parameters
from tidemark.readings.buckets import HOURS, CalendarDays, Grid, window_of_days
from tidemark.readings.fill import Fill
from tidemark.readings.http.buckets import BUCKET, bucket, fill
from tidemark.readings.series import page_of_buckets, page_of_readings

if TYPE_CHECKING:
    from asyncpg import Record

    from tidemark.database.database import Connected

_KNOWN = (
    "cooling_unit_id",
    "specification_type",
    "start_date",
    "end_date",
    "aggregation",
    "timezone",
    "fill",
    *PAGING,
)

USUAL_TYPES = frozenset(("TEMPERATURE", "HUMIDITY"))
"""Types that are accepted even if no sensor has them yet."""


@dataclass(frozen=True, slots=True)
class _Asked:
    cooling_unit_id: int
    types: Sequence[str]
    first: date
    last: date
    aggregation: str
    zone: ZoneInfo | None
    fill: Fill
    page: Page


async def read(request: web.Request) -> web.Response:
    """Return a page of readings or buckets of a cooling unit."""
    principal = await limits.limited(request, "sensor_data")
    asked = _parse(Parameters.of(request, *_KNOWN))

    async def find() -> Items:
        async with request.app[CORE].database.snapshot() as connection, connection.transaction():
            return await _find(connection, principal, asked)

    return await answering.answer(request, principal, asked.page, find)


def _parse(parameters: Parameters) -> _Asked:
    page = parameters.page()
    cooling_unit_id = parameters.number("cooling_unit_id")
    if cooling_unit_id is None:
        raise invalid("cooling_unit_id", "cooling_unit_id is required.")
    first, last = parameters.dates()
    types = parameters.names("specification_type")
    aggregation = parameters.choice("aggregation", "raw", "raw", "hourly", "daily")
    zone = parameters.timezone()
    found = fill(parameters, raw=aggregation == "raw")
    return _Asked(cooling_unit_id, types, first, last, aggregation, zone, found, page)


async def _find(connection: "Connected", principal: Principal, asked: _Asked) -> Items:
    await cooling_units.visible(connection, principal, cooling_unit_id=asked.cooling_unit_id)
    sensors = await statements().typed_sensors.rows(
        connection, company_id=principal.company_id, asset_id=asked.cooling_unit_id
    )
    if asked.types:
        await _require_known(connection, principal, asked.types, sensors)
        sensors = [sensor for sensor in sensors if sensor["specification_type"] in asked.types]
    zone = asked.zone or await timezone_of(connection, principal.company_id)
    window = window_of_days(asked.first, asked.last, zone)
    if asked.aggregation == "raw":
        return await _raw(connection, sensors, window, asked.page)
    by_type = {
        one: [sensor["series_id"] for sensor in those]
        for one, those in groupby(sensors, key=lambda sensor: sensor["specification_type"])
    }
    types = list(by_type)
    grid: Grid = HOURS if asked.aggregation == "hourly" else CalendarDays(zone)
    points, total = await page_of_buckets(
        connection, list(by_type.values()), window, grid, asked.fill, asked.page.size, asked.page.skip
    )
    rows = [bucket(types[point.group], point) for point in points]
    return Items(("timestamp", "specification_type", *BUCKET), rows, total)


async def _raw(connection: "Connected", sensors: "Sequence[Record]", window: Any, page: Page) -> Items:
    of_series = {sensor["series_id"]: sensor for sensor in sensors}
    readings, total = await page_of_readings(connection, list(of_series), window, page.size, page.skip)
    rows = [
        (
            format_instant(reading.at),
            of_series[reading.series_id]["specification_type"],
            of_series[reading.series_id]["id"],
            reading.value,
            1,
        )
        for reading in readings
    ]
    return Items(("timestamp", "specification_type", "sensor_id", "value", "sample_count"), rows, total)


async def _require_known(
    connection: "Connected", principal: Principal, types: Sequence[str], sensors: "Sequence[Record]"
) -> None:
    here = {sensor["specification_type"] for sensor in sensors}
    others = [one for one in types if one not in here and one not in USUAL_TYPES]
    if not others:
        return
    rows = await statements().known_types.rows(
        connection, company_id=principal.company_id, types=others, seen=principal.seen
    )
    known = {row["specification_type"] for row in rows}
    for one in others:
        if one not in known:
            raise invalid("specification_type", f"There is no sensor with the specification_type {one[:100]!r}.")
