"""JSON objects as records."""

import re
from collections.abc import Sequence

import msgspec

from service.ingest.columns import Rejection
from service.ingest.decode.records import Records

_MISSING = re.compile(r"Object missing required field `(\w+)`")


class JsonRecord(msgspec.Struct, gc=False):
    """The object of one reading; other fields are ignored, null is absent."""

    sensor: str
    timestamp: str
    value: str | float
    latitude: str | float | None = None
    longitude: str | float | None = None
    x_axis_value: str | float | None = None
    metadata: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


_decode = msgspec.json.Decoder(JsonRecord).decode


def read_objects(texts: list[bytes] | list[msgspec.Raw], first: int) -> tuple[Records, list[Rejection]]:
    """Decode the JSON texts of records, of which the first is record `first` of the body."""
    try:
        return as_records(list(map(_decode, texts)), range(first, first + len(texts))), []
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        pass  # which of them are wrong, the loop below finds
    objects: list[JsonRecord] = []
    index: list[int] = []
    rejections: list[Rejection] = []
    for number, text in enumerate(texts, first):
        try:
            objects.append(_decode(text))
            index.append(number)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            rejections.append(_rejection(number, error))
    return as_records(objects, index), rejections


def as_records(objects: list[JsonRecord], index: Sequence[int]) -> Records:
    """The fields of decoded objects, list by list."""
    return Records(
        index=index,
        sensor=[each.sensor for each in objects],
        timestamp=[each.timestamp for each in objects],
        value=[each.value for each in objects],
        latitude=[each.latitude for each in objects],
        longitude=[each.longitude for each in objects],
        x_axis_value=[each.x_axis_value for each in objects],
        metadata=[None if each.metadata is msgspec.UNSET else bytes(each.metadata) for each in objects],
    )


def explain(error: Exception) -> str:
    """Why a text could not be decoded, as the end of a sentence."""
    return "it is nested too deeply" if isinstance(error, RecursionError) else str(error)


def _rejection(index: int, error: Exception) -> Rejection:
    if not isinstance(error, msgspec.ValidationError):
        return Rejection(index, "", f"This is not a JSON document: {explain(error)}.")
    message, _, path = str(error).partition(" - at `$.")
    missing = _MISSING.match(message)
    return Rejection(index, missing[1] if missing else path.rstrip("`"), f"{message}.")
