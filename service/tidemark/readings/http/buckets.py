"""Buckets of readings as items of a response, and how buckets without readings are filled."""

from tidemark.base.errors import invalid
from tidemark.base.values import format_instant
from tidemark.http.items import Row
from tidemark.http.parameters import Parameters
from tidemark.readings.fill import Fill, Point

BUCKET = ("value", "sample_count", "min_value", "max_value")
"""The fields of a bucket that follow its start and its group."""


def bucket(group: str, point: Point) -> Row:
    """The values of a bucket: its start, its group, and the fields of `BUCKET`."""
    return format_instant(point.at), group, point.value, point.count, point.minimum, point.maximum


def fill(parameters: Parameters, *, raw: bool) -> Fill:
    """How buckets without readings are filled; raw readings have no buckets to fill. Raises TidemarkError."""
    found = Fill(parameters.choice("fill", "none", *(one.value for one in Fill)))
    if raw and found is not Fill.NONE:
        raise invalid("fill", "fill needs buckets; choose an aggregation other than raw, such as hourly.")
    return found
