"""The messages of Prometheus remote write, for making requests."""

from collections.abc import Iterable, Mapping
from typing import Any

import cramjam
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

Series = tuple[Mapping[str, str], Iterable[tuple[float, int]]]
"""Labels, and samples with their milliseconds."""
V2 = {
    "Content-Encoding": "snappy",
    "Content-Type": "application/x-protobuf;proto=io.prometheus.write.v2.Request",
    "X-Prometheus-Remote-Write-Version": "2.0.0",
}
"""The headers of a request of 2.0."""


def _messages(package: str, *messages: tuple[Any, ...]) -> Any:
    """The class of the last message of a package; a repeated field has a `*` before its name."""
    file = descriptor_pb2.FileDescriptorProto(name=f"{package}.proto", package=package, syntax="proto3")
    of = descriptor_pb2.FieldDescriptorProto
    for name, *fields in messages:
        made = file.message_type.add(name=name)
        for field, number, kind in fields:
            member = made.field.add(name=field.lstrip("*"), number=number)
            member.label = of.LABEL_REPEATED if field[0] == "*" else of.LABEL_OPTIONAL
            if isinstance(kind, str):
                member.type, member.type_name = of.TYPE_MESSAGE, f".{package}.{kind}"
            else:
                member.type = kind
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(file.SerializeToString())
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{package}.{messages[-1][0]}"))


_OF = descriptor_pb2.FieldDescriptorProto
_TEXT, _BYTES, _DOUBLE, _INT64, _UINT32 = (
    _OF.TYPE_STRING,
    _OF.TYPE_BYTES,
    _OF.TYPE_DOUBLE,
    _OF.TYPE_INT64,
    _OF.TYPE_UINT32,
)

WriteRequest = _messages(
    "whole",
    ("Label", ("name", 1, _TEXT), ("value", 2, _TEXT)),
    ("Sample", ("value", 1, _DOUBLE), ("timestamp", 2, _INT64)),
    (
        "TimeSeries",
        ("*labels", 1, "Label"),
        ("*samples", 2, "Sample"),
        ("*exemplars", 3, _BYTES),
        ("*histograms", 4, _BYTES),
    ),
    ("WriteRequest", ("*timeseries", 1, "TimeSeries"), ("*metadata", 3, _BYTES)),
)
"""An independent encoder of what Prometheus sends with 1.0."""

Request = _messages(
    "whole2",
    ("Sample", ("value", 1, _DOUBLE), ("timestamp", 2, _INT64), ("start_timestamp", 3, _INT64)),
    ("Exemplar", ("*labels_refs", 1, _UINT32), ("value", 2, _DOUBLE), ("timestamp", 3, _INT64)),
    ("Metadata", ("type", 1, _UINT32), ("help_ref", 3, _UINT32), ("unit_ref", 4, _UINT32)),
    (
        "TimeSeries",
        ("*labels_refs", 1, _UINT32),
        ("*samples", 2, "Sample"),
        ("*histograms", 3, _BYTES),
        ("*exemplars", 4, "Exemplar"),
        ("metadata", 5, "Metadata"),
        ("created_timestamp", 6, _INT64),
    ),
    ("Request", ("*symbols", 4, _TEXT), ("*timeseries", 5, "TimeSeries")),
)
"""The same of 2.0, with the field numbers of `prompb/io/prometheus/write/v2/types.proto`."""


def write_request(series: Iterable[Series]) -> Any:
    """A message of 1.0."""
    request = WriteRequest()
    for labels, samples in series:
        made = request.timeseries.add()
        for name, value in labels.items():
            made.labels.add(name=name, value=value)
        for number, at in samples:
            made.samples.add(value=number, timestamp=at)
    return request


def write_request_2(series: Iterable[Series]) -> Any:
    """A message of 2.0, with all that Prometheus puts beside the samples."""
    request = Request()
    symbols = {"": 0}
    for labels, samples in series:
        made = request.timeseries.add()
        for name, value in labels.items():
            made.labels_refs.extend([symbols.setdefault(name, len(symbols)), symbols.setdefault(value, len(symbols))])
        for number, at in samples:
            made.samples.add(value=number, timestamp=at, start_timestamp=1)
        made.metadata.type = 2
        made.metadata.help_ref = symbols.setdefault("what it is", len(symbols))
    request.symbols.extend(symbols)
    return request


def packed(request: Any) -> bytes:
    """The body that carries a message."""
    return bytes(cramjam.snappy.compress_raw(request.SerializeToString()))
