"""`POST /inputs/{input_pk}/inputdata/`: one reading, answered after its commit."""

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
from tidemark.readings.wire.upload import Upload, decode_upload, require_sensor, stored_document
from tidemark.readings.writer import Reading, Writer

if TYPE_CHECKING:
    import asyncio

CONTENT_TYPE = "application/vnd.api+json"
ACCEPTED_TYPES = frozenset((CONTENT_TYPE, "application/json"))


async def receive(request: web.Request) -> web.Response:
    """Handle an upload in aiohttp's lane: 201 after the commit. The express lane uses the same functions as this."""
    core = request.app[CORE]
    principal = await authentication.organization(core.access, request.headers)
    content_type = request.headers.get(hdrs.CONTENT_TYPE, "")
    decoded = decode(request.match_info["input_pk"], content_type, await body.whole(request))
    document = await store(core.database, core.directory, request.app[READINGS].writer, principal, decoded)
    return web.Response(status=201, body=document, content_type=CONTENT_TYPE)


def check_content_type(content_type: str) -> None:
    """The body's media type must be JSON, or not be named at all. Raises TidemarkError (415)."""
    media_type = content_type.partition(";")[0].strip().lower()
    if media_type and media_type not in ACCEPTED_TYPES:
        raise TidemarkError(
            Kind.UNSUPPORTED_MEDIA_TYPE,
            f"Send the body as {CONTENT_TYPE} or application/json, not as {media_type[:100]}.",
            field="Content-Type",
        )


def decode(input_pk: str, content_type: str, body: bytes) -> Upload:
    """The reading in the body of an upload to one sensor's path. Raises TidemarkError."""
    check_content_type(content_type)
    upload = decode_upload(body, clock())
    require_sensor(upload, input_pk)
    return upload


def shared_commit(writer: Writer, sensor: Sensor, upload: Upload) -> "tuple[asyncio.Future[None], bytes]":
    """For the express lane, which remembers the sensor: the commit that the reading's batch shares (see
    GroupCommit.shared_commit), and the body to send after it. Raises TidemarkError.
    """
    return writer.shared_commit(_reading(sensor, upload)), stored_document(sensor.series_id, upload)


async def store(
    database: Database, directory: Directory, writer: Writer, principal: Principal, upload: Upload
) -> bytes:
    """Store a reading; return the body to send. Raises TidemarkError."""
    sensors = await directory.sensors(principal.company_id, (upload.sensor_id,))
    if upload.sensor_id not in sensors:
        raise not_found(f"There is no sensor {upload.sensor_id[:100]!r}.", "/data/relationships/sensor/data/id")
    await quota.spend(database, principal, 1)
    sensor = sensors[upload.sensor_id]
    await writer.store(_reading(sensor, upload))
    return stored_document(sensor.series_id, upload)


def _reading(sensor: Sensor, upload: Upload) -> Reading:
    return Reading(
        sensor.series_id,
        upload.at,
        upload.value,
        upload.latitude,
        upload.longitude,
        upload.x_axis_value,
        upload.metadata,
    )
