"""`/api/v1/readings`: readings in bulk as JSON, NDJSON or CSV, and their correction."""

from collections.abc import Callable
from functools import partial

from aiohttp import hdrs, web

from service.api import authentication, body
from service.api.core import CORE
from service.api.ingestion import outcome
from service.catalog.first_sight import KnownSensors
from service.errors import Kind, TidemarkError, invalid, not_found
from service.ingest import quota
from service.ingest.columns import Columns
from service.ingest.decode.csv_rows import CsvDecoder
from service.ingest.decode.json_array import JsonArrayDecoder
from service.ingest.decode.ndjson import NdjsonDecoder
from service.ingest.decode.records import Clock
from service.ingest.pipeline import Decoder, Pipeline, decoded
from service.ingest.values import FieldError, clock, parse_instant
from service.query.window import Window, instant
from service.storage.statements import statements

# Media types, their decoders, and whether they stream.
_FORMATS: dict[str, tuple[Callable[[Clock], Decoder[Columns]], bool]] = {
    "application/json": (JsonArrayDecoder, False),
    "application/x-ndjson": (NdjsonDecoder, True),
    "text/csv": (CsvDecoder, True),
}


async def store(request: web.Request) -> web.Response:
    """`POST`: 200 where all records are stored, 207 where some, 422 where none."""
    core = request.app[CORE]
    principal = await authentication.ingestion(core.access, request.headers)
    media_type = request.headers.get(hdrs.CONTENT_TYPE, "application/json").partition(";")[0].strip().lower()
    if media_type not in _FORMATS:
        raise TidemarkError(
            Kind.UNSUPPORTED_MEDIA_TYPE, f"Send readings as {', '.join(_FORMATS)}.", field=hdrs.CONTENT_TYPE
        )
    decoder, streams = _FORMATS[media_type]
    pipeline = Pipeline(
        KnownSensors(core.access, principal),
        core.bulk_writer,
        partial(quota.spend, core.database, principal),
        streams=streams,
    )
    if streams:
        return await outcome.taken(pipeline, decoded(decoder(clock), body.pieces(request)))
    async with body.held(request) as pieces:
        return await outcome.taken(pipeline, decoded(decoder(clock), pieces))


async def delete(request: web.Request) -> web.Response:
    """`DELETE`: a sensor's readings from `start` to `finish`, both included; statistics are exact right after."""
    core = request.app[CORE]
    principal = await authentication.token(core.access, request.headers, "admin")
    for name in request.query:
        if name not in ("sensor", "start", "end"):
            raise invalid(name[:100], f"There is no parameter {name[:100]!r} here.")
        if len(request.query.getall(name)) > 1:
            raise invalid(name, f"{name} is given more than once.")
    sensor_id = request.query.get("sensor")
    if not sensor_id:
        raise invalid("sensor", "sensor is missing.")
    window = Window.inclusive(_instant(request, "start"), _instant(request, "end"))
    if window.finish <= window.start:
        raise invalid("end", "end is before start.")
    sensors = await core.access.sensors(principal.company_id, (sensor_id,))
    if sensor_id not in sensors:
        raise not_found(f"There is no sensor {sensor_id[:100]!r}.", "sensor")
    async with core.database.session() as connection:
        deleted = await statements().delete_readings.value(
            connection,
            series_id=sensors[sensor_id].series_id,
            start=instant(window.start),
            finish=instant(window.finish),
        )
    return web.json_response({"deleted": deleted})


def _instant(request: web.Request, name: str) -> int:
    text = request.query.get(name)
    if not text:
        raise invalid(name, f"{name} is missing.")
    try:
        return parse_instant(text, name)
    except FieldError as error:
        raise invalid(name, error.message) from None
