"""The document that uploads a single reading (JSON:API), and the document of the response."""

import msgspec
import orjson

from tidemark.base.errors import FieldError, conflict, invalid
from tidemark.base.values import (
    check_instant,
    format_instant,
    format_number,
    parse_instant,
    parse_value,
)
from tidemark.readings.reading import Reading
from tidemark.readings.wire.attributes import ATTRIBUTES
from tidemark.readings.wire.json_fields import optional_of, with_optional


@with_optional
class _Attributes(msgspec.Struct):
    value: str | float
    timestamp: str


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


_decoder = msgspec.json.Decoder(_Document)
_ATTRIBUTE = "/data/attributes/"


def decode_upload(body: bytes, now: int) -> Reading:
    """Decode the body of an upload; `now` is the server's clock in microseconds since 1970 UTC.

    Raises TidemarkError, whose `field` is a JSON pointer.
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
        return Reading(
            data.relationships.sensor.data.id,
            check_instant(parse_instant(attributes.timestamp), now),
            parse_value(attributes.value),
            optional_of(attributes),
        )
    except FieldError as error:
        raise invalid(_ATTRIBUTE + error.field, error.message) from None


def require_sensor(reading: Reading, input_pk: str) -> None:
    """Check that the path and the body name the same sensor. Raises TidemarkError (409)."""
    if reading.sensor_id != input_pk:
        raise conflict(
            f"The path names the sensor {input_pk[:100]!r}, the body {reading.sensor_id[:100]!r}.",
            "/data/relationships/sensor/data/id",
        )


def reading_id(series_id: int, at: int) -> str:
    """The id of a reading: digits that depend only on its sensor and instant."""
    return f"{series_id}{at:017d}"


def stored_document(series_id: int, reading: Reading) -> bytes:
    """The response to an upload that is stored: its document, with the attributes that were sent."""
    attributes = f'"timestamp":"{format_instant(reading.at)}","value":"{format_number(reading.value)}"'
    optional = reading.optional
    for one in ATTRIBUTES:
        if (value := optional[one.index]) is not None:
            attributes += one.before + one.text(value) + one.after
    return (
        f'{{"data":{{"type":"SensorData","id":"{reading_id(series_id, reading.at)}","attributes":{{{attributes}}},'
        f'"relationships":{{"sensor":{{"data":{{"type":"Sensor","id":{orjson.dumps(reading.sensor_id).decode()}'
        "}}}}}"
    ).encode()
