"""`GET /api/v1/series` and `POST /api/v1/series/batch`: any sensors over any window, raw or in buckets."""

import asyncio
import hashlib
import time
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import orjson
from aiohttp import web

from tidemark.base.errors import Kind, TidemarkError, invalid, unavailable
from tidemark.base.time import Window
from tidemark.base.values import format_instant
from tidemark.catalog.directory import Sensor
from tidemark.catalog.organizations import timezone_of
from tidemark.catalog.principal import Principal
from tidemark.http import body, limits
from tidemark.http import items as answering
from tidemark.http.answer import Answer, cached
from tidemark.http.core import CORE, Core
from tidemark.http.errors import PLATFORM_ERRORS
from tidemark.http.items import Items, Row, Table
from tidemark.http.paging import PAGING, Page
from tidemark.http.parameters import Parameters
from tidemark.readings.buckets import window_of_days
from tidemark.readings.fill import Fill
from tidemark.readings.http.buckets import BUCKET, bucket, fill
from tidemark.readings.resolution import (
    AGGREGATIONS,
    AUTO,
    MAX_BUCKETS,
    RAW,
    check_length,
    check_summed,
    finest,
    grid_of,
)
from tidemark.readings.series import (
    Sample,
    count_readings,
    every_bucket,
    every_reading,
    page_of_buckets,
    page_of_readings,
)

if TYPE_CHECKING:
    from tidemark.database.database import Connected

MAX_SENSORS = 1000
DEFAULT_MAX_POINTS = 2000
"""Five years have 1827 days, and a day has 1440 minutes."""
MAX_POINTS = 1_000_000
MAX_STREAMED_BUCKETS = 1_000_000
"""Largest number of buckets in the window of a streamed response: nearly two years of minutes."""
MAX_QUESTIONS = 200
MAX_BATCH = 8 * 1024 * 1024
"""Largest batch, in bytes: `MAX_QUESTIONS` questions, each about `MAX_SENSORS` sensors with UUIDs as ids."""
BATCH_SECONDS = 60.0
"""How long all questions of a batch may take together; they share one snapshot."""

_KNOWN = ("sensors", "start", "end", "aggregation", "max_points", "timezone", "fill", *PAGING)
_RAW_COLUMNS = ("timestamp", "sensor_id", "value", "sample_count")
_BUCKET_COLUMNS = ("timestamp", "sensor_id", *BUCKET)


@dataclass(frozen=True, slots=True)
class _Question:
    """The parameters of a request, checked as far as possible without a database."""

    sensors: Sequence[str]
    start: int | date
    end: int | date
    aggregation: str
    max_points: int
    zone: ZoneInfo | None
    fill: Fill
    page: Page


@dataclass(frozen=True, slots=True)
class _Chart:
    """What to show: sensors by id, a window, and an aggregation, with `auto` already resolved."""

    sensors: Sequence[Sensor]
    window: Window
    aggregation: str
    zone: ZoneInfo
    fill: Fill

    @property
    def columns(self) -> Sequence[str]:
        return _RAW_COLUMNS if self.aggregation == RAW else _BUCKET_COLUMNS

    @property
    def meta(self) -> Mapping[str, str]:
        return {"aggregation": self.aggregation}

    @property
    def series_ids(self) -> list[int]:
        return [sensor.series_id for sensor in self.sensors]


async def read(request: web.Request) -> web.StreamResponse:
    """A page of readings or buckets; in CSV, all of them unless the request asks for a page."""
    principal = await limits.limited(request, "sensor_data")
    parameters = Parameters.of(request, *_KNOWN)
    question = _parse(parameters)
    core = request.app[CORE]
    as_csv = answering.wants_csv(request)
    sensors = await visible_sensors(core, principal, question.sensors)
    if as_csv and not parameters.is_paged():
        async with core.database.long_snapshot(principal.company_id) as connection, connection.transaction():
            chart = await _chart(connection, principal, question, sensors, whole=True)
            return await answering.stream_csv(request, await _table(connection, chart))

    async def find() -> Items:
        async with core.database.snapshot() as connection, connection.transaction():
            return await _page(connection, await _chart(connection, principal, question, sensors), question.page)

    return await answering.answer(request, principal, question.page, find, as_csv=as_csv)


async def visible_sensors(core: Core, principal: Principal, ids: Sequence[str]) -> list[Sensor]:
    """The caller's sensors with these ids, ordered by id.

    Raises TidemarkError (400) for a sensor that is unknown, belongs to another company or is outside the token's list,
    without saying which.
    """
    found = await core.directory.sensors(principal.company_id, ids)
    for sensor_id in ids:
        sensor = found.get(sensor_id)
        if sensor is None or not principal.sees(sensor.asset_id):
            raise invalid("sensors", f"There is no sensor {sensor_id[:100]!r} here.")
    return [found[sensor_id] for sensor_id in sorted(ids)]


def sensor_list(parameters: Parameters) -> tuple[str, ...]:
    """The requested sensors, none if the parameter is absent. Raises TidemarkError."""
    found = parameters.names("sensors")
    if len(found) > MAX_SENSORS:
        raise invalid("sensors", f"Ask for at most {MAX_SENSORS} sensors at a time.")
    return found


def _parse(parameters: Parameters) -> _Question:
    page = parameters.page()
    sensors = sensor_list(parameters)
    if not sensors:
        raise invalid("sensors", "sensors is required: one or more sensor ids, separated by commas.")
    start, end = _moment(parameters, "start"), _moment(parameters, "end")
    aggregation = parameters.choice("aggregation", RAW, *AGGREGATIONS, AUTO)
    if "max_points" in parameters and aggregation != AUTO:
        raise invalid("max_points", "max_points needs aggregation=auto.")
    max_points = parameters.whole_number("max_points", DEFAULT_MAX_POINTS, MAX_POINTS)
    found = fill(parameters, raw=aggregation == RAW)
    return _Question(sensors, start, end, aggregation, max_points, parameters.timezone(), found, page)


def _moment(parameters: Parameters, name: str) -> int | date:
    """An instant in microseconds since 1970 UTC, or a whole day."""
    given = parameters.get(name)
    if not given:
        raise invalid(name, f"{name} is required: a date, or a date and time in ISO 8601.")
    return parameters.day(name) if len(given) == len("YYYY-MM-DD") else parameters.moment(name)


def _window(question: _Question, zone: ZoneInfo) -> Window:
    """From start to end, both included; a date includes its whole day in the time zone."""
    start, end = question.start, question.end
    first = window_of_days(start, start, zone).start if isinstance(start, date) else start
    last = window_of_days(end, end, zone).finish - 1 if isinstance(end, date) else end
    # A date that its time zone skipped is a day without length, which ends just before it starts.
    backwards = end < start if isinstance(start, date) and isinstance(end, date) else last < first
    if backwards:
        raise invalid("end", "end is before start.")
    return Window.inclusive(first, last)


async def _chart(
    connection: "Connected",
    principal: Principal,
    question: _Question,
    sensors: Sequence[Sensor],
    *,
    whole: bool = False,
) -> _Chart:
    """What to show, with `auto` resolved. Raises TidemarkError if it is too much; a `whole` chart, which is streamed,
    may have more.
    """
    zone = question.zone or await timezone_of(connection, principal.company_id)
    window = _window(question, zone)
    aggregation = question.aggregation
    check_length(window, aggregation, MAX_STREAMED_BUCKETS if whole else MAX_BUCKETS)
    series_ids = [sensor.series_id for sensor in sensors]
    if aggregation == AUTO:
        aggregation = await finest(connection, series_ids, window, zone, question.fill, question.max_points)
    elif not whole:
        await check_summed(connection, series_ids, window, aggregation, question.fill)
    return _Chart(sensors, window, aggregation, zone, question.fill)


async def _page(connection: "Connected", chart: _Chart, page: Page) -> Items:
    rows: list[Row]
    if chart.aggregation == RAW:
        readings, total = await page_of_readings(connection, chart.series_ids, chart.window, page.size, page.skip)
        rows = _reading_rows(chart, readings)
    else:
        grid = grid_of(chart.aggregation, chart.zone)
        groups = [[one] for one in chart.series_ids]
        points, total = await page_of_buckets(connection, groups, chart.window, grid, chart.fill, page.size, page.skip)
        rows = [bucket(chart.sensors[point.group].id, point) for point in points]
    return Items(chart.columns, rows, total, chart.meta)


async def _table(connection: "Connected", chart: _Chart) -> Table:
    """A whole chart. Without a fill, the number of buckets is not known before they are read."""
    total: int | None = None
    if chart.aggregation == RAW:
        total = await count_readings(connection, chart.series_ids, chart.window)
    elif chart.fill is not Fill.NONE:
        bounds = grid_of(chart.aggregation, chart.zone).bounds(chart.window)
        total = max(0, len(bounds) - 1) * len(chart.sensors)
    return Table(chart.columns, _pieces(connection, chart), total, chart.meta)


async def _pieces(connection: "Connected", chart: _Chart) -> AsyncGenerator[list[Row], None]:
    if chart.aggregation == RAW:
        async for readings in every_reading(connection, chart.series_ids, chart.window):
            yield _reading_rows(chart, readings)
        return
    grid = grid_of(chart.aggregation, chart.zone)
    groups = [[one] for one in chart.series_ids]
    async for points in every_bucket(connection, groups, chart.window, grid, chart.fill):
        yield [bucket(chart.sensors[point.group].id, point) for point in points]


def _reading_rows(chart: _Chart, readings: Sequence[Sample]) -> list[Row]:
    ids = {sensor.series_id: sensor.id for sensor in chart.sensors}
    return [(format_instant(reading.at), ids[reading.series_id], reading.value, 1) for reading in readings]


async def read_batch(request: web.Request) -> web.Response:
    """Many questions at once: each gets its page or its error, all from one snapshot."""
    principal = await limits.limited(request, "sensor_data")
    Parameters.of(request)  # the parameters are in the body
    given = _questions(await body.document(request, max_bytes=MAX_BATCH))
    core = request.app[CORE]

    async def make() -> Answer:
        asked_at = time.monotonic()
        # Before the snapshot: a request that holds a connection must not wait for another.
        asked = [await _asked(core, principal, one) for one in given]
        try:
            async with asyncio.timeout(BATCH_SECONDS), core.database.snapshot() as connection, connection.transaction():
                answers = [orjson.dumps(await _document(connection, principal, one)) for one in asked]
        except TimeoutError:
            raise unavailable(f"These questions take more than {BATCH_SECONDS:.0f} s; ask fewer at a time.") from None
        return Answer(b'{"data":[' + b",".join(answers) + b"]}", answering.JSON, asked_at)

    key = (principal.company_id, principal.cooling_unit_ids, _digest(given))
    return await cached(request, core.cache, key, make)


def _digest(given: list[Any]) -> bytes:
    """A digest that identifies the questions. Raises TidemarkError if they cannot be encoded as JSON again."""
    try:
        return hashlib.sha256(orjson.dumps(given)).digest()
    except orjson.JSONEncodeError:
        raise invalid(
            "queries", "A question is an object of texts, numbers and lists of ids; one of these is nested too deeply."
        ) from None


@dataclass(frozen=True, slots=True)
class _Asked:
    """A question of a batch, its sensors, and the filters that its page repeats."""

    question: _Question
    sensors: Sequence[Sensor]
    filters: Mapping[str, Any]


def _questions(document: Any) -> list[Any]:
    found = document.get("queries") if isinstance(document, dict) and len(document) == 1 else None
    if not isinstance(found, list) or not 1 <= len(found) <= MAX_QUESTIONS:
        raise invalid("queries", f'The body must be {{"queries": […]}}, a list of 1 to {MAX_QUESTIONS} questions.')
    return found


async def _asked(core: Core, principal: Principal, given: Any) -> _Asked | TidemarkError:
    """A question of a batch, or what is wrong with it, which does not affect the others."""
    try:
        query = _query(given)
        question = _parse(Parameters(query.items(), *_KNOWN))
        filters = {name: given[name] for name in query if name not in PAGING}
        return _Asked(question, await visible_sensors(core, principal, question.sensors), filters)
    except TidemarkError as error:
        return _of_the_question(error)


async def _document(connection: "Connected", principal: Principal, asked: _Asked | TidemarkError) -> dict[str, Any]:
    """The page that answers a question of a batch, or what is wrong with the question."""
    if isinstance(asked, TidemarkError):
        return PLATFORM_ERRORS.document(asked)
    page = asked.question.page
    try:
        found = await _page(connection, await _chart(connection, principal, asked.question, asked.sensors), page)
    except TidemarkError as error:
        return PLATFORM_ERRORS.document(_of_the_question(error))
    return answering.page_of(principal, page, found, asked.filters)


def _of_the_question(error: TidemarkError) -> TidemarkError:
    """The error, if it concerns one question; raises it if it concerns all of them."""
    if error.kind is not Kind.INVALID_REQUEST:
        raise error
    return error


def _query(given: Any) -> dict[str, str]:
    """A question as the parameters of a URL. Numbers and lists may be JSON's own; null means absent."""
    if not isinstance(given, dict):
        raise invalid("queries", "A question is an object with the parameters of GET /api/v1/series.")
    return {name: _text(name, value) for name, value in given.items() if value is not None}


def _text(name: str, value: Any) -> str:
    if isinstance(value, list) and name == "sensors" and all(isinstance(one, str) for one in value):
        return ",".join(value)
    if isinstance(value, str | int) and not isinstance(value, bool):
        return str(value)
    allowed = "text or a list of ids" if name == "sensors" else "text or a whole number"
    raise invalid(name[:100], f"{name[:100]} must be {allowed}.")
