"""The optional columns as attributes of the sensor API's documents, in which numbers are text."""

from collections.abc import Callable
from dataclasses import dataclass

from tidemark.readings.optional_columns import OPTIONAL, NumberColumn, OptionalColumn, OptionalValue


@dataclass(frozen=True, slots=True)
class Attribute:
    """How a column is written: `key`, `quote`, the value's `text`, `quote`."""

    place: int
    """Index in `OPTIONAL`."""
    key: str
    quote: str
    text: Callable[[OptionalValue], str]


def _attribute(place: int, column: OptionalColumn) -> Attribute:
    return Attribute(place, f',"{column.name}":', '"' if isinstance(column, NumberColumn) else "", column.text)


ATTRIBUTES = sorted(map(_attribute, range(len(OPTIONAL)), OPTIONAL), key=lambda attribute: attribute.key)
"""In the order of a document, which is alphabetical."""
