"""The names of series that come from tagged formats: line protocol, remote write and collectd."""

from collections.abc import Iterable

from tidemark.base.errors import FieldError
from tidemark.base.values import has_control

MAX_NAME = 2_000
"""Bytes of a series name in UTF-8."""

_ESCAPES = str.maketrans({mark: "\\" + mark for mark in "\\{},="})
_DOT_TOO = {**_ESCAPES, ord("."): "\\."}


def series_name(measurement: str | None, field: str, labels: Iterable[tuple[str, str]]) -> str:
    """`measurement.field{key=value,…}`, or `field{key=value,…}` where the format has no measurements (a metric).

    Labels stand sorted by key, without the braces where there are none. Different series never get the same name:
    a backslash stands before every `\\`, `{`, `}`, `,` and `=` that belongs to one of the parts, and before every `.`
    of the field or metric. (The dots of a measurement stay as they are: the last bare dot before the labels ends it.)

    Raises FieldError for empty parts (the values of labels excepted), keys that come twice, control characters and
    names of more than 2,000 bytes.
    """
    if measurement == "" or field == "":
        raise FieldError("series", "A series needs a name that is not empty.")
    pairs = sorted(labels)
    if sum(len(key) + len(value) for key, value in pairs) + len(measurement or "") + len(field) > MAX_NAME:
        raise too_long()  # before anything is made of it
    keys = {key for key, _ in pairs}
    if "" in keys:
        raise FieldError("series", "The key of a tag or label cannot be empty.")
    if len(keys) < len(pairs):
        raise FieldError("series", "A tag or label is there twice.")
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
    return FieldError("series", f"The series name is too long: with its tags or labels at most {MAX_NAME} bytes.")
