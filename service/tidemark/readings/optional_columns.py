"""The optional columns of a reading, defined once. Code that decodes, stores or writes readings loops over this list.

There are two kinds, numbers and JSON, and every format supports both. docs/architecture.md, "The columns of a reading",
describes how to add a column.
"""

from dataclasses import dataclass
from typing import Any, ClassVar, TypeAlias

import numpy as np
import numpy.typing as npt

from tidemark.base.errors import FieldError
from tidemark.base.values import MAX_VALUE, TOO_LARGE, compact_json, format_number, parse_number

Array: TypeAlias = npt.NDArray[Any]


@dataclass(frozen=True, slots=True)
class NumberColumn:
    """Doubles. In arrays, NaN stands for an absent value."""

    name: str
    parameter: str
    """The parameter of the fetch endpoints that requests this column."""
    largest: float = MAX_VALUE
    """Largest absolute value."""
    rule: str = TOO_LARGE
    """The error message for larger absolute values."""

    dtype: ClassVar = np.float64
    absent: ClassVar = np.nan
    text: ClassVar = staticmethod(format_number)
    """Formats a value for JSON and CSV."""

    def parse(self, sent: str | float) -> float:
        """Convert a text or a JSON number. Raises FieldError."""
        number = parse_number(sent, self.name)
        if abs(number) > self.largest:
            raise FieldError(self.name, self.rule)
        return number

    def is_empty(self, array: Array) -> bool:
        """Whether no reading has a value."""
        return bool(np.isnan(array).all())


@dataclass(frozen=True, slots=True)
class JsonColumn:
    """JSON documents as compact text. In arrays, None stands for an absent document; null counts as absent."""

    name: str
    parameter: str
    """The parameter of the fetch endpoints that requests this column."""

    dtype: ClassVar = np.object_
    absent: ClassVar = None
    text: ClassVar = str

    def parse(self, sent: str | bytes) -> str | None:
        """Return the document in its compact form, None for null. Raises FieldError."""
        text = compact_json(sent if isinstance(sent, bytes) else sent.encode(), self.name)
        return None if text == "null" else text

    def is_empty(self, array: Array) -> bool:
        """Whether no reading has a value."""
        return all(text is None for text in array)


OptionalColumn: TypeAlias = NumberColumn | JsonColumn
OptionalValue: TypeAlias = Any
"""A reading's value in a column: a number, the text of a document, or None."""

OPTIONAL: tuple[OptionalColumn, ...] = (
    NumberColumn("latitude", "is_add_lat_long", 90, "A latitude is a number of degrees from -90 to 90."),
    NumberColumn("longitude", "is_add_lat_long", 180, "A longitude is a number of degrees from -180 to 180."),
    NumberColumn("x_axis_value", "is_add_x_axis_data"),
    JsonColumn("metadata", "is_add_metadata"),
)
"""In the order of the columns of the table `reading`, and of CSV and Parquet files."""
