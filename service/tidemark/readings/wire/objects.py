"""JSON objects as records."""

import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import cast

import msgspec

from tidemark.base.errors import FieldError
from tidemark.bodies.json_errors import explain
from tidemark.bodies.outcome import Rejection
from tidemark.readings.wire.json_fields import columns_of, with_optional
from tidemark.readings.wire.records import Records, needs_unit

_MISSING = re.compile(r"Object missing required field `(\w+)`")
_NUMERIC = re.compile(r"Expected `str`, got `(?:int|float)` - at `\$\.timestamp`")


class PlainRecord(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    """The object of a reading without any other field, as most are: nothing optional has to be looked for."""

    sensor: str
    timestamp: str
    value: str | float


@with_optional
class JsonRecord(PlainRecord, gc=False, forbid_unknown_fields=False):
    """The object of one reading. Other fields are ignored; null counts as absent."""


class EpochRecord(JsonRecord, gc=False):
    """The same if timestamps may be numbers: keeps their digits exactly as sent."""

    timestamp: msgspec.Raw  # type: ignore[assignment]


_DECODE: dict[type[JsonRecord], Callable[[bytes | msgspec.Raw], JsonRecord]] = {
    kind: msgspec.json.Decoder(kind).decode for kind in (JsonRecord, EpochRecord)
}


_DECODE_PLAIN: Callable[[bytes | msgspec.Raw], PlainRecord] = msgspec.json.Decoder(PlainRecord).decode
_INVALID = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


def record_type(unit: str | None) -> type[JsonRecord]:
    """The type to decode objects to, given the unit of numeric timestamps; None if these are rejected."""
    return JsonRecord if unit is None else EpochRecord


def read_objects(
    texts: list[bytes] | list[msgspec.Raw], first: int, kind: type[JsonRecord] = JsonRecord
) -> tuple[Records, list[Rejection]]:
    """Decode the JSON texts of records; the first of them is record number `first` of the body."""
    index = range(first, first + len(texts))
    if kind is JsonRecord:
        with suppress(*_INVALID):
            return as_records(list(map(_DECODE_PLAIN, texts)), index), []
    decode = _DECODE[kind]
    try:
        return as_records(list(map(decode, texts)), index), []
    except _INVALID:
        pass  # the loop below finds the invalid ones
    objects: list[JsonRecord] = []
    taken: list[int] = []
    rejections: list[Rejection] = []
    for number, text in enumerate(texts, first):
        try:
            objects.append(decode(text))
            taken.append(number)
        except _INVALID as error:
            found = field_error(error)
            rejections.append(Rejection(number, found.field, found.message))
    return as_records(objects, taken), rejections


def as_records(objects: Sequence[PlainRecord], index: Sequence[int]) -> Records:
    """The fields of decoded objects as lists."""
    return Records(
        index=index,
        sensor=[each.sensor for each in objects],
        timestamp=_timestamps(objects),
        value=[each.value for each in objects],
        optional=columns_of(objects) if objects and isinstance(objects[0], JsonRecord) else {},
    )


def _timestamps(objects: Sequence[PlainRecord]) -> list[str]:
    if objects and isinstance(objects[0], EpochRecord):
        return [_as_text(bytes(cast("EpochRecord", each).timestamp)) for each in objects]
    return [each.timestamp for each in objects]


def _as_text(raw: bytes) -> str:
    """The text of a JSON string; anything else, or an invalid string, as it was sent."""
    if b"\\" in raw:
        with suppress(msgspec.DecodeError):
            return msgspec.json.decode(raw, type=str)
    return raw.strip(b'"').decode("utf-8", "replace")


def field_error(error: Exception) -> FieldError:
    """The error to report for a record that could not be decoded."""
    if not isinstance(error, msgspec.ValidationError):
        return FieldError("", f"This is not a JSON document: {explain(error)}.")
    if _NUMERIC.match(str(error)):
        return needs_unit("A number")
    message, _, path = str(error).partition(" - at `$.")
    missing = _MISSING.match(message)
    return FieldError(missing[1] if missing else path.rstrip("`"), f"{message}.")
