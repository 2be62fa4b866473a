"""`POST /inputs/{input_pk}/inputdata/`: a single reading, acknowledged after its commit."""

from typing import TYPE_CHECKING

from aiohttp import hdrs, web

from tidemark.base.errors import Kind, TidemarkError, not_found
from tidemark.base.values import clock
from tidemark.catalog.directory import Directory, Sensor
from tidemark.catalog.principal import Principal
from tidemark.database.database import Database
from tidemark.http import authentication, body
from tidemark.http.core import CORE
from tidemark.readings import quota
from tidemark.readings.http.parts import READINGS
from tidemark.readings.log.append import Appender
from tidemark.readings.reading import Reading
from tidemark.readings.wire.upload import decode_upload, require_sensor, stored_document

if TYPE_CHECKING:
    import asyncio

CONTENT_TYPE = "application/vnd.api+json"
ACCEPTED_TYPES = frozenset((CONTENT_TYPE, "application/json"))


async def receive(request: web.Request) -> web.Response:
    """Handle an upload in aiohttp's lane: 201 after the commit. The express lane uses the same functions."""
    core = request.app[CORE]
    principal = await authentication.organization(core.access, request.headers)
    content_type = request.headers.get(hdrs.CONTENT_TYPE, "")
    decoded = decode(request.match_info["input_pk"], content_type, await body.whole(request))
    document = await store(core.database, core.directory, request.app[READINGS].appender, principal, decoded)
    return web.Response(status=201, body=document, content_type=CONTENT_TYPE)


def check_content_type(content_type: str) -> None:
    """Require that the body's media type is JSON or absent. Raises TidemarkError (415)."""
    if content_type in ACCEPTED_TYPES:
        return
    media_type = content_type.partition(";")[0].strip().lower()
    if media_type and media_type not in ACCEPTED_TYPES:
        raise TidemarkError(
            Kind.UNSUPPORTED_MEDIA_TYPE,
            f"Send the body as {CONTENT_TYPE} or application/json, not as {media_type[:100]}.",
            field="Content-Type",
        )


def decode(input_pk: str, content_type: str, body: bytes) -> Reading:
    """The reading in the body of an upload to a sensor's path. Raises TidemarkError."""
    check_content_type(content_type)
    reading = decode_upload(body, clock())
    require_sensor(reading, input_pk)
    return reading


def shared_commit(
    appender: Appender, principal: Principal, sensor: Sensor, reading: Reading
) -> "tuple[asyncio.Future[None], bytes]":
    """For the express lane, which remembers the sensor: the commit that the reading shares with its batch (see
    GroupCommit.shared_commit), and the body to send after it. Raises TidemarkError.
    """
    committed = appender.shared_commit(principal.company_id, sensor.series_id, reading)
    return committed, stored_document(sensor.series_id, reading)


async def store(
    database: Database, directory: Directory, appender: Appender, principal: Principal, reading: Reading
) -> bytes:
    """Store a reading. Returns the body to send. Raises TidemarkError."""
    sensors = await directory.sensors(principal.company_id, (reading.sensor_id,))
    if reading.sensor_id not in sensors:
        raise not_found(f"There is no sensor {reading.sensor_id[:100]!r}.", "/data/relationships/sensor/data/id")
    await quota.spend(database, principal, 1)
    series_id = sensors[reading.sensor_id].series_id
    await appender.store(principal.company_id, series_id, reading)
    return stored_document(series_id, reading)
