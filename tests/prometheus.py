"""The messages of Prometheus remote write 1.0, for making requests."""

from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory


def _write_request() -> Any:
    """The message class of a request, with all of the specification's types."""
    of = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(name="whole.proto", package="whole", syntax="proto3")
    for name, *fields in (
        ("Label", ("name", 1, of.TYPE_STRING, ""), ("value", 2, of.TYPE_STRING, "")),
        ("Sample", ("value", 1, of.TYPE_DOUBLE, ""), ("timestamp", 2, of.TYPE_INT64, "")),
        (
            "TimeSeries",
            ("labels", 1, of.TYPE_MESSAGE, ".whole.Label"),
            ("samples", 2, of.TYPE_MESSAGE, ".whole.Sample"),
            ("exemplars", 3, of.TYPE_BYTES, ""),
            ("histograms", 4, of.TYPE_BYTES, ""),
        ),
        (
            "WriteRequest",
            ("timeseries", 1, of.TYPE_MESSAGE, ".whole.TimeSeries"),
            ("metadata", 3, of.TYPE_BYTES, ""),
        ),
    ):
        made = file.message_type.add(name=name)
        label = of.LABEL_REPEATED if name in ("TimeSeries", "WriteRequest") else of.LABEL_OPTIONAL
        for field, number, kind, type_name in fields:
            made.field.add(name=field, number=number, type=kind, type_name=type_name or None, label=label)
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(file.SerializeToString())
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("whole.WriteRequest"))


WriteRequest = _write_request()
"""An independent encoder of what Prometheus sends."""
