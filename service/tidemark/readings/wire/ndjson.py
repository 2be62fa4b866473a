"""NDJSON: one JSON object per line, decoded as it arrives (https://github.com/ndjson/ndjson-spec)."""

from collections.abc import Iterator

from tidemark.base.values import Clock
from tidemark.bodies.lines import BlankLines, Lines
from tidemark.readings.wire.objects import read_objects, record_type
from tidemark.readings.wire.piece import Piece
from tidemark.readings.wire.records import to_columns


class NdjsonDecoder:
    """Decodes lines with any line ending, with or without a byte order mark; blank ones do not count as records.

    A line that is not a valid reading is rejected; a line of more than 1 MiB ends the body. `unit` is as in
    `to_columns`.
    """

    def __init__(self, clock: Clock, unit: str | None = None) -> None:
        self._clock = clock
        self._unit = unit
        self._lines = Lines()
        self._blank = BlankLines()
        self._count = 0

    def feed(self, data: bytes) -> Iterator[Piece]:
        """Take the next bytes. Raises BodyError."""
        yield from map(self._decode, self._lines.feed(data))

    def flush(self) -> Iterator[Piece]:
        """The complete lines received so far. Raises BodyError."""
        yield from map(self._decode, self._lines.flush())

    def finish(self) -> Iterator[Piece]:
        """End the body. Raises BodyError."""
        yield from map(self._decode, self._lines.finish())

    def _decode(self, lines: list[bytes]) -> Piece:
        texts = [line for line in lines if line and not line.isspace()]
        self._blank.note(len(lines) - len(texts), len(texts))
        records, rejections = read_objects(texts, self._count, record_type(self._unit))
        self._count += len(texts)
        return to_columns(records, rejections, self._clock(), self._unit)
