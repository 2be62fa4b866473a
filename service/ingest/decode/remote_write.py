"""Prometheus remote write 1.0, as https://prometheus.io/docs/specs/prw/remote_write_spec/ defines it.

The request is taken apart series by series, because protobuf's parser makes objects of some hundred bytes out of two:
a whole request of 32 MiB could take gigabytes.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from math import isfinite
from typing import Protocol, cast

import cramjam
import numpy as np
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import DecodeError

from service.ingest.columns import LISTED, BodyError, BodyTooLongError, Columns, Rejection
from service.ingest.decode.records import Clock
from service.ingest.decode.series import series_name
from service.ingest.values import FieldError, check_instant, parse_value

PIECE = 10_000
"""Samples after which a piece ends, with the series that it has reached."""
MAX_PARTS = 100_000
"""Time series and metadata of a request; senders' batches are of some thousand samples."""
MAX_SERIES_SIZE = 256 * 1024
"""Bytes of one time series: some 15,000 samples."""

_METRIC = "__name__"
_REMEMBERED = 10_000  # series whose names are kept ready, as senders send the same ones every few seconds
_LONGEST_REMEMBERED = 2_000  # bytes of their labels

_TIMESERIES, _METADATA = 1, 3  # fields of WriteRequest
# Wire types: https://protobuf.dev/programming-guides/encoding/
_VARINT, _LENGTH_DELIMITED = 0, 2
_FIXED_LENGTHS = {1: 8, 5: 4}


class _LabelMessage(Protocol):
    name: str
    value: str

    def ParseFromString(self, data: bytes) -> int: ...  # noqa: N802 - protobuf's name


class _Sample(Protocol):
    value: float
    timestamp: int


class _TimeSeriesMessage(Protocol):
    """Labels stay bytes till they are needed, and what is only counted for good."""

    labels: Sequence[bytes]
    samples: Sequence[_Sample]
    exemplars: Sequence[bytes]
    histograms: Sequence[bytes]

    def ParseFromString(self, data: bytes) -> int: ...  # noqa: N802 - protobuf's name


def _message_classes() -> tuple[Callable[[], _LabelMessage], Callable[[], _TimeSeriesMessage]]:
    """Label and TimeSeries with the field numbers of the specification."""
    of = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(name="remote_write.proto", package="prometheus", syntax="proto3")
    for message, fields in {
        "Label": (("name", 1, of.TYPE_STRING), ("value", 2, of.TYPE_STRING)),
        "Sample": (("value", 1, of.TYPE_DOUBLE), ("timestamp", 2, of.TYPE_INT64)),
        "TimeSeries": (
            ("labels", 1, of.TYPE_BYTES),
            ("samples", 2, "Sample"),
            ("exemplars", 3, of.TYPE_BYTES),
            ("histograms", 4, of.TYPE_BYTES),
        ),
    }.items():
        described = file.message_type.add(name=message)
        for name, number, kind in fields:
            member = described.field.add(name=name, number=number)
            member.label = of.LABEL_REPEATED if message == "TimeSeries" else of.LABEL_OPTIONAL
            if isinstance(kind, str):
                member.type, member.type_name = of.TYPE_MESSAGE, f".prometheus.{kind}"
            else:
                member.type = kind
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(file.SerializeToString())
    label, series = (
        message_factory.GetMessageClass(pool.FindMessageTypeByName(f"prometheus.{name}"))
        for name in ("Label", "TimeSeries")
    )
    return cast("Callable[[], _LabelMessage]", label), cast("Callable[[], _TimeSeriesMessage]", series)


_Label, _TimeSeries = _message_classes()


class RemoteWrite:
    """A Decoder (see service.ingest.pipeline). `limit` is in bytes, uncompressed; `clock` in µs since 1970 UTC.

    A record is a time series: its position is the index of its readings. Each refused sample counts as a rejection.
    Samples that are NaN (which says that a series has ended) or infinite, exemplars, histograms and metadata are no
    readings and counted as skipped.
    """

    def __init__(self, limit: int, clock: Clock) -> None:
        self._limit = limit
        self._clock = clock
        self._body = bytearray()

    def feed(self, data: bytes) -> Iterator[Columns]:
        """Take the next bytes; nothing comes out before the end. Raises BodyError."""
        self._body += data
        if len(self._body) > self._limit + self._limit // 6 + 32:  # the most that snappy makes of `limit` bytes
            raise _too_long(self._limit)
        yield from ()

    def flush(self) -> Iterator[Columns]:
        """Nothing comes out before the end."""
        return iter(())

    def finish(self) -> Iterator[Columns]:
        """Take the end of the body. Raises BodyError where it is not snappy or not a WriteRequest."""
        request = _decompress(bytes(self._body), self._limit)
        self._body.clear()
        now = self._clock()
        parts = list(_parts(request))  # whatever is wrong with them is found before the first reading is given away
        piece = _Piece(now)
        piece.skipped = sum(number == _METADATA for number, _ in parts)
        for index, content in enumerate(content for number, content in parts if number == _TIMESERIES):
            piece.add(index, content)
            if len(piece.at) >= PIECE:
                yield piece.columns()
                piece = _Piece(now)
        if piece.at or piece.rejected or piece.skipped:
            yield piece.columns()


class _Piece:
    """Columns in the making."""

    def __init__(self, now: int) -> None:
        self._now = now
        self._sensors: dict[str, int] = {}
        self._sensor: list[int] = []
        self._value: list[float] = []
        self._index: list[int] = []
        self._rejections: list[Rejection] = []
        self.at: list[int] = []
        self.rejected = 0
        self.skipped = 0

    def add(self, index: int, content: bytes) -> None:
        """Take the samples of the series at this position."""
        series = _TimeSeries()
        try:
            series.ParseFromString(content)
        except DecodeError:
            self._reject(index, FieldError("series", "This is not a time series of remote write 1.0."))
            return
        self.skipped += len(series.exemplars) + len(series.histograms)
        samples = [sample for sample in series.samples if isfinite(sample.value)]
        self.skipped += len(series.samples) - len(samples)
        if not samples:
            return
        try:
            name = _name(tuple(series.labels))
        except FieldError as error:
            self._reject(index, error, len(samples))
            return
        for sample in samples:
            try:
                at = check_instant(sample.timestamp * 1000, self._now)
                value = parse_value(sample.value)
            except FieldError as error:
                self._reject(index, error)
                continue
            self._sensor.append(self._sensors.setdefault(name, len(self._sensors)))
            self.at.append(at)
            self._value.append(value)
            self._index.append(index)

    def _reject(self, index: int, error: FieldError, count: int = 1) -> None:
        self.rejected += count
        if len(self._rejections) < LISTED:
            self._rejections.append(Rejection(index, error.field, error.message))

    def columns(self) -> Columns:
        """What was taken so far."""
        return Columns(
            names=list(self._sensors),
            sensor=np.array(self._sensor, dtype=np.int32),
            at=np.array(self.at, dtype=np.int64),
            value=np.array(self._value, dtype=np.float64),
            index=np.array(self._index, dtype=np.int64),
            rejections=self._rejections,
            rejected=self.rejected,
            skipped=self.skipped,
        )


def _name(labels: tuple[bytes, ...]) -> str:
    """The series name. A label with an empty value is, as in Prometheus, the same as no label."""
    short = len(labels) + sum(map(len, labels)) <= _LONGEST_REMEMBERED
    return _remembered_name(labels) if short else _read_name(labels)


def _read_name(labels: tuple[bytes, ...]) -> str:
    pairs: list[tuple[str, str]] = []
    for content in labels:
        label = _Label()
        try:
            label.ParseFromString(content)
        except DecodeError:
            raise FieldError("series", "A label is malformed, or not UTF-8.") from None
        if label.value:
            pairs.append((label.name, label.value))
    metrics = [value for key, value in pairs if key == _METRIC]
    if len(metrics) != 1:
        raise FieldError("series", "A time series needs one __name__ label: the name of its metric.")
    return series_name(None, metrics[0], [pair for pair in pairs if pair[0] != _METRIC])


_remembered_name = lru_cache(_REMEMBERED)(_read_name)


def _parts(request: bytes) -> Iterator[tuple[int, bytes]]:
    """The fields of a WriteRequest that have a length: their numbers and contents. Raises BodyError."""
    malformed = BodyError("The body is not a WriteRequest of remote write 1.0 in protobuf.")
    place = 0
    count = 0
    while place < len(request):
        try:
            tag, place = _varint(request, place)
            number, kind = tag >> 3, tag & 7
            length = _FIXED_LENGTHS.get(kind, 0)
            if kind == _LENGTH_DELIMITED:
                length, place = _varint(request, place)
            elif kind == _VARINT:
                _, place = _varint(request, place)
            elif not length:
                raise malformed
        except IndexError:
            raise malformed from None
        if number == 0 or place + length > len(request):
            raise malformed
        count += 1
        if count > MAX_PARTS:
            raise BodyError(f"A request has at most {MAX_PARTS} time series; set the sender to smaller batches.")
        if kind == _LENGTH_DELIMITED:
            if length > MAX_SERIES_SIZE:
                raise BodyError(
                    f"A time series has at most {MAX_SERIES_SIZE} bytes; set the sender to smaller batches."
                )
            yield number, request[place : place + length]
        place += length


def _varint(message: bytes, place: int) -> tuple[int, int]:
    """The number at a place, and the place behind it. Raises IndexError where it does not end."""
    number = 0
    for shift in range(0, 70, 7):
        byte = message[place]
        place += 1
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            return number, place
    raise IndexError


def _decompress(body: bytes, limit: int) -> bytes:
    """A snappy block, decompressed if it is no longer than `limit` bytes then. Raises BodyError.

    It begins with its uncompressed length as a varint (https://github.com/google/snappy/blob/main/format_description.txt).
    """
    length = 0
    for place, byte in enumerate(body[:5]):
        length |= (byte & 0x7F) << 7 * place
        if byte < 0x80:
            break
    else:
        raise BodyError("The body is not a snappy block: its length is missing.")
    if length > limit:
        raise _too_long(limit)
    try:
        return bytes(cramjam.snappy.decompress_raw(body))
    except cramjam.DecompressionError:
        raise BodyError("The body is not a snappy block (not the framed format): it cannot be decompressed.") from None


def _too_long(limit: int) -> BodyTooLongError:
    return BodyTooLongError(
        f"The body is too long: uncompressed at most {limit} bytes; set the sender to smaller batches."
    )
