"""The document of a single-reading upload (JSON:API), decoded and answered."""

import msgspec
import orjson

from tidemark.base.errors import FieldError, conflict, invalid
from tidemark.base.values import (
    check_instant,
    compact_json,
    format_instant,
    format_number,
    parse_instant,
    parse_latitude,
    parse_longitude,
    parse_value,
)

_Number = str | float | None


class _Attributes(msgspec.Struct):
    value: str | float
    timestamp: str
    latitude: _Number = None
    longitude: _Number = None
    x_axis_value: _Number = None
    metadata: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


class _SensorIdentifier(msgspec.Struct):
    id: str
    type: str = "Sensor"


class _SensorLink(msgspec.Struct):
    data: _SensorIdentifier


class _Relationships(msgspec.Struct):
    sensor: _SensorLink


class _Resource(msgspec.Struct):
    attributes: _Attributes
    relationships: _Relationships
    type: str


class _Document(msgspec.Struct):
    data: _Resource


class Upload(msgspec.Struct, frozen=True):
    """One decoded reading; `at` in microseconds since 1970 UTC, `metadata` JSON text."""

    sensor_id: str
    at: int
    value: float
    latitude: float | None
    longitude: float | None
    x_axis_value: float | None
    metadata: str | None


_decoder = msgspec.json.Decoder(_Document)
_ATTRIBUTE = "/data/attributes/"


def decode_upload(body: bytes, now: int) -> Upload:
    """Decode the body of an upload; `now` is the server's clock in microseconds since 1970 UTC.

    Raises TidemarkError whose `field` is a JSON pointer.
    """
    try:
        data = _decoder.decode(body).data
    except msgspec.ValidationError as error:
        message, _, path = str(error).partition(" - at `$.")
        pointer = "/" + path.rstrip("`").replace(".", "/") if path else ""
        raise invalid(pointer, f"{message}.") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise invalid("", f"The body is not a JSON document: {error}." if body else "The body is empty.") from None
    if data.type != "SensorData":
        raise invalid("/data/type", 'The type must be "SensorData".')
    attributes = data.attributes
    try:
        return Upload(
            data.relationships.sensor.data.id,
            check_instant(parse_instant(attributes.timestamp), now),
            parse_value(attributes.value),
            None if attributes.latitude is None else parse_latitude(attributes.latitude),
            None if attributes.longitude is None else parse_longitude(attributes.longitude),
            None if attributes.x_axis_value is None else parse_value(attributes.x_axis_value, "x_axis_value"),
            _metadata(attributes.metadata),
        )
    except FieldError as error:
        raise invalid(_ATTRIBUTE + error.field, error.message) from None


def require_sensor(upload: Upload, input_pk: str) -> None:
    """The sensor of the path and of the body must be one. Raises TidemarkError (409)."""
    if upload.sensor_id != input_pk:
        raise conflict(
            f"The path names the sensor {input_pk[:100]!r}, the body {upload.sensor_id[:100]!r}.",
            "/data/relationships/sensor/data/id",
        )


def reading_id(series_id: int, at: int) -> str:
    """The id of a reading: digits that the sensor and the instant alone decide."""
    return f"{series_id}{at:017d}"


def stored_document(series_id: int, upload: Upload) -> bytes:
    """The answer to a stored upload: its document, with the attributes that were sent."""
    attributes = f'"timestamp":"{format_instant(upload.at)}","value":"{format_number(upload.value)}"'
    if upload.latitude is not None:
        attributes += f',"latitude":"{format_number(upload.latitude)}"'
    if upload.longitude is not None:
        attributes += f',"longitude":"{format_number(upload.longitude)}"'
    if upload.metadata is not None:
        attributes += f',"metadata":{upload.metadata}'
    if upload.x_axis_value is not None:
        attributes += f',"x_axis_value":"{format_number(upload.x_axis_value)}"'
    return (
        f'{{"data":{{"type":"SensorData","id":"{reading_id(series_id, upload.at)}","attributes":{{{attributes}}},'
        f'"relationships":{{"sensor":{{"data":{{"type":"Sensor","id":{orjson.dumps(upload.sensor_id).decode()}'
        "}}}}}"
    ).encode()


def _metadata(raw: msgspec.Raw | msgspec.UnsetType) -> str | None:
    if raw is msgspec.UNSET:
        return None
    text = compact_json(bytes(raw))
    return None if text == "null" else text
