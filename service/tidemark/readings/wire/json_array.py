"""A JSON array of objects, decoded once all of it has arrived."""

from collections.abc import Iterator

import msgspec

from tidemark.base.values import Clock
from tidemark.bodies.json_errors import explain
from tidemark.bodies.lines import PIECE_RECORDS
from tidemark.bodies.outcome import BodyError
from tidemark.readings.wire.objects import EpochRecord, JsonRecord, as_records, read_objects, record_type
from tidemark.readings.wire.piece import Piece
from tidemark.readings.wire.records import to_columns

_MAX_COMMAS = 2_000_000
"""Limits an array with an invalid element: each element then becomes an object, and commas are cheap to send."""

_OBJECTS: dict[type[JsonRecord], msgspec.json.Decoder[list[JsonRecord]]] = {
    JsonRecord: msgspec.json.Decoder(list[JsonRecord]),
    EpochRecord: msgspec.json.Decoder(list[EpochRecord]),
}
_elements = msgspec.json.Decoder(list[msgspec.Raw])


class JsonArrayDecoder:
    """Decodes one array. It holds the whole body in memory, so its caller must limit the size.

    `unit` is as in `to_columns`.
    """

    def __init__(self, clock: Clock, unit: str | None = None) -> None:
        self._clock = clock
        self._unit = unit
        self._kind = record_type(unit)
        self._parts: list[bytes] = []

    def feed(self, data: bytes) -> Iterator[Piece]:
        """Take the next bytes; pieces are yielded only at the end of the body."""
        self._parts.append(data)
        return iter(())

    def flush(self) -> Iterator[Piece]:
        """Yield nothing: the format does not stream."""
        return iter(())

    def finish(self) -> Iterator[Piece]:
        """End the body and decode it. Raises BodyError."""
        body = b"".join(self._parts).removeprefix(b"\xef\xbb\xbf")
        self._parts = []
        if not body or body.isspace():
            raise BodyError("The body is empty; send a JSON array of readings.")
        try:
            objects = _OBJECTS[self._kind].decode(body)
        except msgspec.ValidationError:
            yield from self._decode_elements(body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise BodyError(f"The body is not a JSON document: {explain(error)}.") from None
        else:
            for start in range(0, len(objects), PIECE_RECORDS):
                piece = objects[start : start + PIECE_RECORDS]
                records = as_records(piece, range(start, start + len(piece)))
                yield to_columns(records, [], self._clock(), self._unit)

    def _decode_elements(self, body: bytes) -> Iterator[Piece]:
        """Decode an array some of whose elements are not readings."""
        if body.count(b",") > _MAX_COMMAS:
            raise BodyError("An element of the array is not a reading, and the array is too long to tell which.")
        try:
            elements = _elements.decode(body)
        except msgspec.ValidationError:
            raise BodyError("The body is not a JSON array of readings.") from None
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise BodyError(f"The body is not a JSON document: {explain(error)}.") from None
        for start in range(0, len(elements), PIECE_RECORDS):
            records, rejections = read_objects(elements[start : start + PIECE_RECORDS], start, self._kind)
            yield to_columns(records, rejections, self._clock(), self._unit)
