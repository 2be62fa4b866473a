"""Prometheus remote write, 1.0 and 2.0, as https://prometheus.io/docs/specs/prw/ defines them.

Both send labels and samples as a snappy-compressed protobuf message. In 1.0 each series carries its labels as texts; in
2.0 it refers to symbols that all series of a request share.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from math import isfinite
from typing import Any, Protocol, TypeAlias

import cramjam
from google.protobuf.message import DecodeError

from tidemark.base.errors import FieldError
from tidemark.base.values import Clock, check_instant, parse_value
from tidemark.bodies.outcome import BodyError, BodyTooLongError
from tidemark.readings.wire.known_names import remembered
from tidemark.readings.wire.piece import Piece, PieceBuilder
from tidemark.readings.wire.protobuf import OF, MalformedError, fields_of, message_classes
from tidemark.readings.wire.series_names import MAX_NAME, series_name, too_long

PIECE = 10_000
"""Samples after which a piece ends, once its current series is complete."""
MAX_PARTS = 100_000
"""Largest number of time series, metadata and symbols in a request; senders' batches have some thousand samples."""
MAX_PART_SIZE = 256 * 1024
"""Largest size of each of these, in bytes: enough for a time series of some 15,000 samples."""

_METRIC = "__name__"
_LONGEST_REMEMBERED = 2_000  # bytes of the labels of a cached name


class _Sample(Protocol):
    value: float
    timestamp: int


_Labels: TypeAlias = tuple[bytes, ...]
_Pairs: TypeAlias = list[tuple[str, str]]

# Labels are parsed only when they are needed, and fields that are only counted stay bytes.
_SAMPLE = (("value", 1, OF.TYPE_DOUBLE, False), ("timestamp", 2, OF.TYPE_INT64, False))
_ONE = message_classes(
    "prometheus",
    {
        "Label": (("name", 1, OF.TYPE_STRING, False), ("value", 2, OF.TYPE_STRING, False)),
        "Sample": _SAMPLE,
        "TimeSeries": (
            ("labels", 1, OF.TYPE_BYTES, True),
            ("samples", 2, "Sample", True),
            ("exemplars", 3, OF.TYPE_BYTES, True),
            ("histograms", 4, OF.TYPE_BYTES, True),
        ),
    },
)
_TWO = message_classes(
    "io.prometheus.write.v2",
    {
        "Sample": _SAMPLE,
        "TimeSeries": (
            ("labels_refs", 1, OF.TYPE_UINT32, True),
            ("samples", 2, "Sample", True),
            ("histograms", 3, OF.TYPE_BYTES, True),
            ("exemplars", 4, OF.TYPE_BYTES, True),
        ),
    },
)

_WRITE_REQUEST, _REQUEST = "a WriteRequest of remote write 1.0", "a Request of remote write 2.0"
_SYMBOLS, _SERIES_2 = 4, 5
_FIELDS = {_WRITE_REQUEST: {1, 3}, _REQUEST: {_SYMBOLS, _SERIES_2}}
"""The field numbers of each message. They have none in common, so one message cannot be mistaken for the other."""


class _RemoteWrite(ABC):
    """A Decoder (see tidemark.bodies.pipeline). `limit` is in uncompressed bytes; `clock` in µs since 1970 UTC.

    A record is a time series: all its readings have its position as their index. Each rejected sample counts as a
    rejection. Samples that are NaN (which marks the end of a series) or infinite, exemplars, histograms and the
    metadata of 1.0 are not readings and count as skipped.
    """

    _message: str
    """The name of the message, for errors."""
    _time_series: int
    """The number of the field with the time series."""
    _parse: Callable[[bytes], Any]
    """Parses one time series. Raises DecodeError."""

    def __init__(self, limit: int, clock: Clock) -> None:
        self._limit = limit
        self._clock = clock
        self._body = bytearray()

    def feed(self, data: bytes) -> Iterator[Piece]:
        """Take the next bytes; pieces are yielded only at the end of the body. Raises BodyError."""
        self._body += data
        if len(self._body) > self._limit + self._limit // 6 + 32:  # the most that snappy makes of `limit` bytes
            raise _body_too_long(self._limit)
        yield from ()

    def flush(self) -> Iterator[Piece]:
        """Yield nothing: the format does not stream."""
        return iter(())

    def finish(self) -> Iterator[Piece]:
        """End the body and decode it. Raises BodyError if it is not snappy or not the expected message."""
        request = _decompress(bytes(self._body), self._limit)
        self._body.clear()
        now = self._clock()
        # All parts are checked before the first reading is yielded.
        parts = _parts(request, self._message)
        _check_message(parts, self._message)
        builder = PieceBuilder()
        builder.skipped = self._begin(parts)
        for index, content in enumerate(content for number, content in parts if number == self._time_series):
            try:
                series = self._parse(content)
            except DecodeError:
                builder.reject(index, FieldError("series", f"This is not a time series of {self._message}."))
            else:
                self._add(builder, index, series, now)
            if len(builder) + builder.rejected >= PIECE:
                yield builder.piece()
                builder = PieceBuilder()
        if not builder.is_empty:
            yield builder.piece()

    def _add(self, builder: PieceBuilder, index: int, series: Any, now: int) -> None:
        """Add the samples of a time series, whose name is read only if it has any."""
        sent: Sequence[_Sample] = series.samples
        samples = [sample for sample in sent if isfinite(sample.value)]
        builder.skipped += len(sent) - len(samples) + len(series.exemplars) + len(series.histograms)
        if not samples:
            return
        try:
            name = self._name(series)
        except FieldError as error:
            builder.reject(index, error, len(samples))
            return
        at: list[int] = []
        value: list[float] = []
        for sample in samples:
            try:
                moment, number = check_instant(sample.timestamp * 1000, now), parse_value(sample.value)
            except FieldError as error:
                builder.reject(index, error)
                continue
            at.append(moment)
            value.append(number)
        builder.take(name, index, at, value)

    def _name(self, series: Any) -> str:
        labels = self._labels(series)
        short = len(labels) + sum(map(len, labels)) <= _LONGEST_REMEMBERED
        return _remembered_name(labels, self._pairs) if short else _read_name(labels, self._pairs)

    @abstractmethod
    def _begin(self, parts: Sequence[tuple[int, bytes]]) -> int:
        """Read the parts other than time series; returns how many of them are skipped. Raises BodyError."""

    @abstractmethod
    def _labels(self, series: Any) -> _Labels:
        """The labels as `_pairs` reads them. Raises FieldError."""

    @staticmethod
    @abstractmethod
    def _pairs(labels: _Labels) -> _Pairs:
        """The labels as texts, without those that have an empty value, which Prometheus treats as absent. Raises
        FieldError.
        """


class RemoteWrite(_RemoteWrite):
    """`prometheus.WriteRequest` of remote write 1.0."""

    _message = _WRITE_REQUEST
    _time_series = 1
    _parse = _ONE["TimeSeries"].FromString

    def _begin(self, parts: Sequence[tuple[int, bytes]]) -> int:
        return sum(number == 3 for number, _ in parts)  # metadata

    def _labels(self, series: Any) -> _Labels:
        return tuple(series.labels)

    @staticmethod
    def _pairs(labels: _Labels) -> _Pairs:
        try:
            read = [_ONE["Label"].FromString(content) for content in labels]
        except DecodeError:
            raise FieldError("series", "A label is malformed, or not UTF-8.") from None
        return [(label.name, label.value) for label in read if label.value]


class RemoteWrite2(_RemoteWrite):
    """`io.prometheus.write.v2.Request` of remote write 2.0."""

    _message = _REQUEST
    _time_series = _SERIES_2
    _parse = _TWO["TimeSeries"].FromString

    def _begin(self, parts: Sequence[tuple[int, bytes]]) -> int:
        self._symbols = [content for number, content in parts if number == _SYMBOLS]
        if self._symbols[:1] != [b""] and any(number in _FIELDS[_REQUEST] for number, _ in parts):
            raise BodyError("The first of the symbols of a Request of remote write 2.0 must be the empty string.")
        return 0

    def _labels(self, series: Any) -> _Labels:
        if len(series.labels_refs) % 2:
            raise FieldError("series", "labels_refs must be pairs of a name and a value; the last name has no value.")
        try:
            return tuple([self._symbols[reference] for reference in series.labels_refs])
        except IndexError:
            raise FieldError("series", "A label refers to a symbol that the request does not have.") from None

    @staticmethod
    def _pairs(labels: _Labels) -> _Pairs:
        pairs = [(name, value) for name, value in zip(labels[::2], labels[1::2], strict=True) if value]
        # A reference of two bytes can name a symbol of any length: check the total before building any text.
        if sum(len(name) + len(value) for name, value in pairs) > len(_METRIC) + MAX_NAME:
            raise too_long()
        try:
            return [(name.decode(), value.decode()) for name, value in pairs]
        except UnicodeDecodeError:
            raise FieldError("series", "A label is not UTF-8.") from None


def _read_name(labels: _Labels, pairs_of: Callable[[_Labels], _Pairs]) -> str:
    pairs = pairs_of(labels)
    metrics = [value for key, value in pairs if key == _METRIC]
    if len(metrics) != 1:
        raise FieldError("series", "A time series needs one __name__ label: the name of its metric.")
    return series_name(None, metrics[0], [pair for pair in pairs if pair[0] != _METRIC])


_remembered_name = remembered()(_read_name)


def _parts(request: bytes, message: str) -> list[tuple[int, bytes]]:
    """The length-delimited fields of a request: their numbers and contents. Raises BodyError."""
    parts = []
    try:
        for count, (number, content) in enumerate(fields_of(request), 1):
            if count > MAX_PARTS:
                raise BodyError(
                    f"A request may have at most {MAX_PARTS} time series, metadata and symbols; "
                    "configure the sender for smaller batches."
                )
            if content is None:
                continue
            if len(content) > MAX_PART_SIZE:
                raise BodyError(
                    f"A time series or symbol may have at most {MAX_PART_SIZE} bytes; "
                    "configure the sender for smaller batches."
                )
            parts.append((number, content))
    except MalformedError:
        raise BodyError(f"The body is not {message} in protobuf.") from None
    return parts


def _check_message(parts: Sequence[tuple[int, bytes]], message: str) -> None:
    """Raise BodyError if a request has fields of the other message, which would be ignored silently."""
    numbers = {number for number, _ in parts}
    for other, fields in _FIELDS.items():
        if other != message and numbers & fields:
            raise BodyError(f"The body looks like {other}, but its Content-Type says {message}; make the two agree.")


def _decompress(body: bytes, limit: int) -> bytes:
    """Decompress a snappy block of at most `limit` uncompressed bytes. Raises BodyError.

    It begins with its uncompressed length as a varint (https://github.com/google/snappy/blob/main/format_description.txt).
    """
    length = 0
    for number, byte in enumerate(body[:5]):
        length |= (byte & 0x7F) << 7 * number
        if byte < 0x80:
            break
    else:
        raise BodyError("The body is not a snappy block: its length is missing.")
    if length > limit:
        raise _body_too_long(limit)
    try:
        return bytes(cramjam.snappy.decompress_raw(body))
    except cramjam.DecompressionError:
        raise BodyError("The body is not a snappy block (not the framed format): it cannot be decompressed.") from None


def _body_too_long(limit: int) -> BodyTooLongError:
    return BodyTooLongError(
        f"The body may have at most {limit} bytes uncompressed; configure the sender for smaller batches."
    )
