"""The names of series from formats with tags or labels: line protocol, remote write and collectd."""

from collections.abc import Iterable

from tidemark.base.errors import FieldError
from tidemark.base.values import has_control

MAX_NAME = 2_000
"""Largest size of a series name, in bytes of UTF-8."""

_ESCAPES = str.maketrans({mark: "\\" + mark for mark in "\\{},="})
_DOT_TOO = {**_ESCAPES, ord("."): "\\."}


def series_name(measurement: str | None, field: str, labels: Iterable[tuple[str, str]]) -> str:
    """`measurement.field{key=value,…}`, or `field{key=value,…}` where the format has no measurements (a metric).

    Labels are sorted by key; without labels there are no braces. Different series never get the same name: a backslash
    precedes every `\\`, `{`, `}`, `,` and `=` that belongs to one of the parts, and every `.` of the field or metric.
    (The dots of a measurement are not escaped: the last unescaped dot before the labels ends it.)

    Raises FieldError for empty parts (except the values of labels), duplicate keys, control characters and names of
    more than 2,000 bytes.
    """
    if measurement == "" or field == "":
        raise FieldError("series", "A series needs a name that is not empty.")
    pairs = sorted(labels)
    if sum(len(key) + len(value) for key, value in pairs) + len(measurement or "") + len(field) > MAX_NAME:
        raise too_long()  # before the name is built
    keys = {key for key, _ in pairs}
    if "" in keys:
        raise FieldError("series", "The key of a tag or label cannot be empty.")
    if len(keys) < len(pairs):
        raise FieldError("series", "The key of a tag or label is repeated.")
    name = field.translate(_DOT_TOO)
    if measurement is not None:
        name = f"{measurement.translate(_ESCAPES)}.{name}"
    if pairs:
        inner = ",".join(f"{key.translate(_ESCAPES)}={value.translate(_ESCAPES)}" for key, value in pairs)
        name = f"{name}{{{inner}}}"
    if has_control(name):
        raise FieldError("series", "Names, tags and labels cannot contain control characters.")
    if len(name.encode()) > MAX_NAME:
        raise too_long()
    return name


def too_long() -> FieldError:
    """The error for a name of more than `MAX_NAME` bytes."""
    return FieldError("series", f"The series name may have at most {MAX_NAME} bytes, including its tags or labels.")
