"""`POST /inputs/{input_pk}/inputdata/`: one reading, answered after its commit."""

import asyncio

from tidemark.base.errors import Kind, TidemarkError, not_found
from tidemark.base.values import clock
from tidemark.catalog.access import Access, Principal, Sensor
from tidemark.database.database import Database
from tidemark.readings import quota
from tidemark.readings.wire.upload import Upload, decode_upload, require_sensor, stored_document
from tidemark.readings.writer import Reading, Writer

CONTENT_TYPE = "application/vnd.api+json"
ACCEPTED_TYPES = frozenset((CONTENT_TYPE, "application/json"))


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


def accept(writer: Writer, sensor: Sensor, upload: Upload) -> "tuple[asyncio.Future[None], bytes]":
    """Hand a reading to the writer; answers its commit, and the body to send after that. Raises TidemarkError."""
    committed = writer.write(
        Reading(
            sensor.series_id,
            upload.at,
            upload.value,
            upload.latitude,
            upload.longitude,
            upload.x_axis_value,
            upload.metadata,
        )
    )
    return committed, stored_document(sensor.series_id, upload)


async def store(database: Database, access: Access, writer: Writer, principal: Principal, upload: Upload) -> bytes:
    """Store a reading and answer the body to send. Raises TidemarkError."""
    sensors = await access.sensors(principal.company_id, (upload.sensor_id,))
    if upload.sensor_id not in sensors:
        raise not_found(f"There is no sensor {upload.sensor_id[:100]!r}.", "/data/relationships/sensor/data/id")
    await quota.spend(database, principal, 1)
    committed, document = accept(writer, sensors[upload.sensor_id], upload)
    # The future belongs to the whole batch: a client that goes away must not cancel it for the others.
    await asyncio.shield(committed)
    return document
