"""`/api/v1/readings`: readings in bulk as JSON, NDJSON or CSV, and their deletion."""

from functools import partial

from aiohttp import web

from tidemark.base.errors import invalid, not_found
from tidemark.base.time import Window
from tidemark.base.values import EPOCH_UNITS
from tidemark.http import authentication
from tidemark.http.core import CORE
from tidemark.http.many_records import Format, format_of, take
from tidemark.http.parameters import Parameters
from tidemark.readings import quota
from tidemark.readings.first_sight import KnownSensors
from tidemark.readings.http.parts import READINGS
from tidemark.readings.pipeline import ReadingPipeline
from tidemark.readings.settling.deletion import delete_readings
from tidemark.readings.wire.csv_rows import CsvDecoder
from tidemark.readings.wire.json_array import JsonArrayDecoder
from tidemark.readings.wire.ndjson import NdjsonDecoder
from tidemark.readings.wire.piece import Piece


async def store(request: web.Request) -> web.Response:
    """`POST`: 200 if all records are stored, 207 if some are, 422 if none is."""
    core = request.app[CORE]
    principal = await authentication.ingestion(core.access, request.headers)
    form = format_of(request, _formats(_timestamp_unit(request)))
    pipeline = ReadingPipeline(
        KnownSensors(core.directory, principal),
        partial(request.app[READINGS].appender.store_block, principal.company_id),
        partial(quota.spend, core.database, principal),
        streams=form.streams,
    )
    return await take(request, form, pipeline)


async def delete(request: web.Request) -> web.Response:
    """`DELETE`: a sensor's readings from `start` to `end`, both included; statistics are exact right away."""
    core = request.app[CORE]
    principal = await authentication.token(core.access, request.headers, "admin")
    parameters = Parameters.of(request, "sensor", "start", "end")
    sensor_id = parameters.get("sensor")
    if not sensor_id:
        raise invalid("sensor", "sensor is missing.")
    window = Window.inclusive(parameters.moment("start"), parameters.moment("end"))
    if window.finish <= window.start:
        raise invalid("end", "end is before start.")
    sensors = await core.directory.sensors(principal.company_id, (sensor_id,))
    if sensor_id not in sensors:
        raise not_found(f"There is no sensor {sensor_id[:100]!r}.", "sensor")
    deleted = await delete_readings(core.database, sensors[sensor_id].series_id, window)
    return web.json_response({"deleted": deleted})


def _formats(unit: str | None) -> dict[str, Format[Piece]]:
    return {
        "application/json": Format(partial(JsonArrayDecoder, unit=unit), streams=False),
        "application/x-ndjson": Format(partial(NdjsonDecoder, unit=unit), streams=True),
        "text/csv": Format(partial(CsvDecoder, unit=unit), streams=True),
    }


def _timestamp_unit(request: web.Request) -> str | None:
    given = Parameters.among_others(request, "timestamp_unit").get("timestamp_unit")
    if given is not None and given not in EPOCH_UNITS:
        raise invalid("timestamp_unit", f"timestamp_unit must be one of {', '.join(EPOCH_UNITS)}, given once.")
    return given
