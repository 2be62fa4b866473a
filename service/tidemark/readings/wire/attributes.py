"""The optional columns as attributes in documents of the sensor API, which writes numbers as strings."""

from collections.abc import Callable
from dataclasses import dataclass

from tidemark.readings.optional_columns import OPTIONAL, NumberColumn, OptionalColumn, OptionalValue


@dataclass(frozen=True, slots=True)
class Attribute:
    """How a column is written: `before`, the `text` of the value, `after`; or `null` if there is no value."""

    parameter: str
    """The parameter of the fetch endpoints that requests this column."""
    index: int
    """Index in `OPTIONAL`."""
    before: str
    text: Callable[[OptionalValue], str]
    after: str
    null: str


def _attribute(index: int, column: OptionalColumn) -> Attribute:
    key, quote = f',"{column.name}":', '"' if isinstance(column, NumberColumn) else ""
    return Attribute(column.parameter, index, key + quote, column.text, quote, key + "null")


ATTRIBUTES = [_attribute(*item) for item in sorted(enumerate(OPTIONAL), key=lambda item: item[1].name)]
"""In the order in which documents list them: alphabetical."""
