"""The optional columns as attributes in documents of the sensor API, which writes numbers as strings."""

from collections.abc import Callable
from dataclasses import dataclass

from tidemark.readings.optional_columns import OPTIONAL, NumberColumn, OptionalColumn, OptionalValue


@dataclass(frozen=True, slots=True)
class Attribute:
    """How a column is written: `key`, `quote`, the `text` of the value, `quote`."""

    index: int
    """Index in `OPTIONAL`."""
    key: str
    quote: str
    text: Callable[[OptionalValue], str]


def _attribute(index: int, column: OptionalColumn) -> Attribute:
    return Attribute(index, f',"{column.name}":', '"' if isinstance(column, NumberColumn) else "", column.text)


ATTRIBUTES = sorted(map(_attribute, range(len(OPTIONAL)), OPTIONAL), key=lambda attribute: attribute.key)
"""In the order in which documents list them: alphabetical."""
