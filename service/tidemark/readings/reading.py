"""A single reading."""

import msgspec

from tidemark.readings.optional_columns import OptionalValue


class Reading(msgspec.Struct, frozen=True):
    """A reading whose fields have passed the rules for single values."""

    sensor_id: str
    at: int
    """Microseconds since 1970 UTC."""
    value: float
    optional: tuple[OptionalValue, ...]
    """A value for each optional column, in the order of `OPTIONAL`."""
