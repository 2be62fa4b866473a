"""The optional columns as fields of JSON objects.

The functions that read the fields are generated, like the methods of dataclasses: with loops, each upload took half a
microsecond longer, and each record of a bulk body 5 % longer.
"""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar, cast

import msgspec

from tidemark.readings.optional_columns import OPTIONAL, NumberColumn, OptionalColumn, OptionalValue

Object = TypeVar("Object", bound=msgspec.Struct)


def with_optional(fields: type[Object]) -> type[Object]:
    """Append a field for each optional column to a class of JSON objects. Null counts as absent."""
    optional = [_field(column) for column in OPTIONAL]
    made = msgspec.defstruct(fields.__name__, optional, bases=(fields,), module=fields.__module__)
    return cast("type[Object]", made)


def _field(column: OptionalColumn) -> tuple[str, Any, Any]:
    """The name, type and default of a field."""
    if isinstance(column, NumberColumn):
        return column.name, str | float | None, None
    return column.name, msgspec.Raw | msgspec.UnsetType, msgspec.UNSET


def _parsed(column: OptionalColumn) -> str:
    name = column.name
    if isinstance(column, NumberColumn):
        return f"None if sent.{name} is None else parse_{name}(sent.{name})"
    return f"None if sent.{name} is UNSET else parse_{name}(bytes(sent.{name}))"


def _as_sent(column: OptionalColumn) -> str:
    name = column.name
    return (
        f"sent.{name}" if isinstance(column, NumberColumn) else f"None if sent.{name} is UNSET else bytes(sent.{name})"
    )


def _function(code: str) -> Any:
    known = {f"parse_{column.name}": column.parse for column in OPTIONAL}
    return eval(code, {"UNSET": msgspec.UNSET, **known})  # noqa: S307 - contains only the names of columns


_values = ", ".join(map(_parsed, OPTIONAL))
optional_of: Callable[[msgspec.Struct], tuple[OptionalValue, ...]] = _function(f"lambda sent: ({_values},)")
"""The optional values of an object, checked by the rules for single values. Raises FieldError."""

_lists = ", ".join(f"{column.name!r}: [{_as_sent(column)} for sent in objects]" for column in OPTIONAL)
columns_of: Callable[[Sequence[msgspec.Struct]], dict[str, list[Any]]] = _function(f"lambda objects: {{{_lists}}}")
"""For each optional column, the values of the objects as they were sent; None for objects without one."""
