"""The eight fetch endpoints: raw readings or statistics, by inputs or by asset, of a window or the latest."""

import time
from collections.abc import AsyncGenerator, Iterable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import TYPE_CHECKING

import orjson
from aiohttp import hdrs, web

from tidemark.base.errors import not_found
from tidemark.base.rules import MAX_INTEGER
from tidemark.base.values import clock, format_number
from tidemark.catalog.directory import Sensor
from tidemark.catalog.principal import Principal
from tidemark.database.statements import statements
from tidemark.http import authentication
from tidemark.http.answer import Answer, cached
from tidemark.http.core import CORE, Core
from tidemark.http.route import Handler
from tidemark.http.streaming import stream
from tidemark.readings.http.fetch_parameters import Fetch, parse_fetch
from tidemark.readings.http.parts import READINGS, ReadingParts
from tidemark.readings.raw import AT_ONCE, readings
from tidemark.readings.statistics import Statistics

if TYPE_CHECKING:
    from asyncpg import Record

CONTENT_TYPE = "application/json"


@dataclass(frozen=True, slots=True)
class _Asked:
    """A request whose sensors have been looked up: its parameters, the sensors, and the id and name of the asset."""

    fetch: Fetch
    sensors: Sequence[Sensor]
    asset: tuple[int, str] | None


class _TooMuchAtOnceError(Exception):
    """Signals that the response may be too large for memory, so it is streamed and never cached."""

    def __init__(self, asked: _Asked) -> None:
        super().__init__()
        self.asked = asked


def _handler(*, of_asset: bool, latest: bool, statistics: bool) -> Handler:
    async def handle(request: web.Request) -> web.StreamResponse:
        core = request.app[CORE]
        principal = await authentication.organization(core.access, request.headers)
        fetch = parse_fetch(request.query.items(), of_asset=of_asset, latest=latest, now=clock())

        async def make() -> Answer:
            asked_at = time.monotonic()
            asked = await _find(core, principal, fetch)
            if not statistics and len(asked.sensors) * fetch.limit > AT_ONCE:
                raise _TooMuchAtOnceError(asked)
            pieces = _statistics(request.app[READINGS], asked) if statistics else _raw(core, principal, asked)
            return Answer(b"".join([piece async for piece in pieces]), CONTENT_TYPE, asked_at)

        key = (principal.company_id, request.path.rstrip("/"), request.query_string)
        try:
            return await cached(request, core.cache, key, make)
        except _TooMuchAtOnceError as too_much:
            return await stream(
                request, {hdrs.CONTENT_TYPE: f"{CONTENT_TYPE}; charset=utf-8"}, _raw(core, principal, too_much.asked)
            )

    return handle


by_inputs = _handler(of_asset=False, latest=False, statistics=False)
statistics_by_inputs = _handler(of_asset=False, latest=False, statistics=True)
latest_by_inputs = _handler(of_asset=False, latest=True, statistics=False)
latest_statistics_by_inputs = _handler(of_asset=False, latest=True, statistics=True)
by_asset = _handler(of_asset=True, latest=False, statistics=False)
statistics_by_asset = _handler(of_asset=True, latest=False, statistics=True)
latest_by_asset = _handler(of_asset=True, latest=True, statistics=False)
latest_statistics_by_asset = _handler(of_asset=True, latest=True, statistics=True)


async def _find(core: Core, principal: Principal, fetch: Fetch) -> _Asked:
    if fetch.asset_id is None:
        found = await core.directory.sensors(principal.company_id, fetch.input_ids)
        for input_id in fetch.input_ids:
            if input_id not in found:
                raise not_found(f"There is no input {input_id[:100]!r}.", "input_ids")
        return _Asked(fetch, [found[input_id] for input_id in fetch.input_ids], None)
    name = None
    if fetch.asset_id <= MAX_INTEGER:
        async with core.database.snapshot() as connection:
            row = await statements().read_asset.row(
                connection, company_id=principal.company_id, id=fetch.asset_id, seen=None
            )
        name = row["name"] if row is not None else None
    if name is None:
        raise not_found(f"There is no asset {fetch.asset_id}.", "asset_id")
    sensors = await core.directory.sensors_of_asset(principal.company_id, fetch.asset_id)
    if fetch.input_ids:
        known = {sensor.id for sensor in sensors}
        for input_id in fetch.input_ids:
            if input_id not in known:
                raise not_found(f"The asset {fetch.asset_id} has no input {input_id[:100]!r}.", "input_ids")
        sensors = [sensor for sensor in sensors if sensor.id in set(fetch.input_ids)]
    return _Asked(fetch, sensors, (fetch.asset_id, name))


async def _raw(core: Core, principal: Principal, asked: _Asked) -> AsyncGenerator[bytes, None]:
    fetch = asked.fetch
    envelope = _Envelope(asked)
    found = readings(
        core.database,
        principal.company_id,
        [sensor.series_id for sensor in asked.sensors],
        fetch.window,
        order_by=fetch.order_by,
        descending=fetch.descending,
        limit=fetch.limit,
    )
    current: int | None = None
    async with aclosing(found) as pieces:
        async for piece in pieces:
            parts: list[str] = []
            for row, record in zip(piece, _records(piece, fetch), strict=True):
                if row["series_id"] != current:
                    current = row["series_id"]
                    parts.append(envelope.until(row["series_id"]))
                else:
                    parts.append(",")
                parts += record, "}"
            yield "".join(parts).encode()
    yield envelope.rest().encode()


async def _statistics(parts: ReadingParts, asked: _Asked) -> AsyncGenerator[bytes, None]:
    found = await parts.statistics.of([sensor.series_id for sensor in asked.sensors], asked.fetch.window)
    envelope = _Envelope(asked)
    for sensor in asked.sensors:
        yield envelope.until(sensor.series_id).encode()
        yield _functions(found[sensor.series_id], asked.fetch.functions).encode()
    yield envelope.rest().encode()


def _functions(statistics: Statistics, functions: Sequence[str]) -> str:
    if statistics.count == 0:
        return ""
    values = {"min": statistics.minimum, "max": statistics.maximum, "avg": statistics.mean}
    return "{" + ",".join(f'"{name}":{_number(values[name])}' for name in functions) + "}"


def _records(rows: "Sequence[Record]", fetch: Fetch) -> Iterable[str]:
    """The records of some readings without their closing braces, built column by column, which is faster."""
    if not rows:
        return ()
    _, instants, values, *optional = zip(*rows, strict=True)
    # asyncpg reads timestamptz as UTC, so the text ends in "+00:00".
    heads = [
        f'{{"timestamp":"{ts.isoformat(timespec="microseconds")[:-6]}Z","value":"{format_number(value)}"'
        for ts, value in zip(instants, values, strict=True)
    ]
    tails = [
        [one.null if value is None else one.before + one.text(value) + one.after for value in optional[one.index]]
        for one in fetch.attributes
    ]
    return map("".join, zip(heads, *tails, strict=True)) if tails else heads


def _number(value: float | None) -> str:
    return "null" if value is None else f'"{format_number(value)}"'


class _Envelope:
    """The JSON around the records, produced step by step."""

    def __init__(self, asked: _Asked) -> None:
        self._sensors = list(asked.sensors)
        self._next = 0
        if asked.asset is None:
            self._head, self._tail = "[", "]"
        else:
            asset_id, name = asked.asset
            self._head = f'{{"id":{asset_id},"name":{orjson.dumps(name).decode()},"inputs":['
            self._tail = "]}"

    def until(self, series_id: int | None) -> str:
        """What precedes the records of this series; for None, everything up to the records of the last series."""
        parts = []
        while self._next < len(self._sensors):
            sensor = self._sensors[self._next]
            head = self._head if self._next == 0 else "]},"
            about = {"id": sensor.id, "name": sensor.name, "measure_unit": sensor.measure_unit}
            parts.append(f'{head}{{"input":{orjson.dumps(about).decode()},"inputdata":[')
            self._next += 1
            if sensor.series_id == series_id:
                break
        return "".join(parts)

    def rest(self) -> str:
        """What follows the last record."""
        remaining = self.until(None)
        return f"{remaining}]}}{self._tail}" if self._sensors else f"{self._head}{self._tail}"
