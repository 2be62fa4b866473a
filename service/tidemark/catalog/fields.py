"""The fields of what is managed (organizations, tokens, sensors, assets, …), and documents that set them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from tidemark.base.errors import invalid
from tidemark.base.rules import Rule


@dataclass(frozen=True, slots=True)
class Field:
    """One field that can be set."""

    rule: Rule
    required: bool = False
    """Whether a new record needs it; it is never null then."""
    default: Any = None
    """Its value in a record where it is not given, or null."""
    keeps_null: bool = False
    """Whether null is a value of its own, and not the default."""
    fixed: bool = False
    """Whether it cannot be changed later."""
    help: str = ""
    """What it is, for the command line."""
    operators: bool = False
    """Whether only the operator may set it, on the command line."""


Named = Callable[[str], str]
"""What whoever sends a document calls a field: its name over HTTP, an option on the command line."""


def checked(fields: Mapping[str, Field], document: Any, named: Named = str) -> dict[str, Any]:
    """A whole new record from a JSON object. Raises FieldError."""
    given = _of_fields(fields, document)
    record = {}
    for name, field in fields.items():
        if name in given:
            record[name] = _value(named(name), field, given[name])
        elif field.required:
            raise invalid(named(name), f"{named(name)} is missing.")
        else:
            record[name] = field.default
    return record


def changes(fields: Mapping[str, Field], document: Any, named: Named = str) -> dict[str, Any]:
    """The values of the fields that a JSON object gives. Raises FieldError."""
    given = _of_fields(fields, document)
    return {name: _value(named(name), fields[name], value) for name, value in given.items()}


def changed(fields: Mapping[str, Field], document: Any, current: Mapping[str, Any]) -> dict[str, Any]:
    """A record with the changes of a JSON object. Raises FieldError."""
    found = changes(fields, document)
    for name, value in found.items():
        if fields[name].fixed and value != current[name]:
            raise invalid(name, f"{name} cannot be changed.")
    return {**current, **found}


def without_operators(fields: Mapping[str, Field], document: Any) -> Any:
    """What a tenant sends, unchanged. Raises FieldError for the first field that only the operator may set."""
    for name in document if isinstance(document, Mapping) else ():
        if name in fields and fields[name].operators:
            raise invalid(name, f"{name} can only be read here; the operator sets it, with 'tidemark org update'.")
    return document


def _of_fields(fields: Mapping[str, Field], document: Any) -> Mapping[str, Any]:
    if not isinstance(document, Mapping):
        raise invalid("body", "The body must be a JSON object.")
    for name in document:
        if name not in fields:
            raise invalid(str(name), f"There is no field {name}; the fields are {', '.join(fields)}.")
    return document


def _value(name: str, field: Field, value: Any) -> Any:
    if value is not None:
        return field.rule(name, value)
    if field.required:
        raise invalid(name, f"{name} must not be null.")
    return None if field.keeps_null else field.default
