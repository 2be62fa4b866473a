"""Rules for the fields of what is managed: organizations, tokens, sensors, assets."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from typing import Any
from zoneinfo import ZoneInfo, available_timezones

import idna

from tidemark.base.errors import invalid
from tidemark.base.time import LATEST, instant
from tidemark.base.values import has_control, parse_instant

MAX_TEXT = 500
MAX_INTEGER = 2**31 - 1
MAX_POSITIVE = 1e15

_HOST = re.compile(r"(?=.{1,253}$)(?!-)[a-z0-9-]{1,63}(\.(?!-)[a-z0-9-]{1,63})*")


@cache  # it reads the whole folder of the database
def _timezones() -> frozenset[str]:
    # These mean what a machine was set to, or nothing; the database server does not know all of them.
    return frozenset(available_timezones() - {"localtime", "posixrules", "Factory"})


Rule = Callable[[str, Any], Any]
"""Takes a field's name and a value other than null, answers the value to store or raises TidemarkError."""


@dataclass(frozen=True, slots=True)
class Field:
    """One field that can be set: its rule, whether it has to be given, whether it may be null or changed later."""

    rule: Rule
    required: bool = False
    nullable: bool = True
    default: Any = None
    """What it is where it is not given, or null."""
    keeps_null: bool = False
    """Whether null is a value of its own instead."""
    fixed: bool = False
    help: str = ""
    operators: bool = False
    """Whether only the operator may set it, on the command line."""


def text(name: str, value: Any) -> str:
    """Text of at most 500 characters, without control characters."""
    if not isinstance(value, str) or not value.strip():
        raise invalid(name, f"{name} must be text that is not empty.")
    if len(value) > MAX_TEXT:
        raise invalid(name, f"{name} is at most {MAX_TEXT} characters long.")
    if has_control(value):
        raise invalid(name, f"{name} must not contain control characters.")
    return value


def identifier(name: str, value: Any) -> str:
    """Text that can stand in a path and in a comma list."""
    checked = text(name, value)
    if checked != checked.strip(" ") or any(mark in checked for mark in ',"/'):
        raise invalid(name, f"{name} must not contain commas, double quotes, slashes or surrounding spaces.")
    if checked in (".", ".."):
        raise invalid(name, f"{name} must not be {checked!r}, which means another place in a path.")
    return checked


def integer(name: str, value: Any) -> int:
    """A whole number from 1 to 2,147,483,647, as a number or as digits."""
    if isinstance(value, str) and value.isascii() and value.isdigit():
        value = int(value[:20])
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= MAX_INTEGER:
        raise invalid(name, f"{name} must be a whole number from 1 to {MAX_INTEGER}.")
    return value


def positive(name: str, value: Any) -> float:
    """A number above 0 and at most 1e15, as a number or as text."""
    try:
        number = float(value) if isinstance(value, str | int | float) and not isinstance(value, bool) else 0.0
    except (ValueError, OverflowError):
        number = 0.0
    if not 0 < number <= MAX_POSITIVE:
        raise invalid(name, f"{name} must be a number above 0.")
    return number


def boolean(name: str, value: Any) -> bool:
    """True or false; also as text, which the command line has."""
    if isinstance(value, bool):
        return value
    if value not in ("true", "false"):
        raise invalid(name, f"{name} must be true or false.")
    return bool(value == "true")


def domain(name: str, value: Any) -> str:
    """A host name (or an address) without scheme, port and path; lower case, international names as punycode."""
    try:
        host = ascii_host(value) if isinstance(value, str) else ""
    except ValueError:
        host = ""
    if not _HOST.fullmatch(host):
        raise invalid(name, f"{name} must be a host name alone, such as example.com.")
    return host


def ascii_host(host: str) -> str:
    """A host name in lower case, international names as browsers send them (UTS 46). Raises ValueError."""
    host = host.rstrip(".").lower()
    return host if host.isascii() else idna.encode(host, uts46=True).decode()


def integers(name: str, value: Any) -> list[int]:
    """A list of such whole numbers; doubles are dropped."""
    if not isinstance(value, list):
        raise invalid(name, f"{name} must be a list of whole numbers.")
    return list(dict.fromkeys(integer(name, item) for item in value))


def country(name: str, value: Any) -> str:
    """Two letters, ISO 3166-1 alpha-2."""
    if not isinstance(value, str) or not (len(value) == 2 and value.isascii() and value.isalpha()):
        raise invalid(name, f"{name} must be a country code of two letters (ISO 3166), such as NG.")
    return value.upper()


def currency(name: str, value: Any) -> str:
    """Three letters, ISO 4217."""
    if not isinstance(value, str) or not (len(value) == 3 and value.isascii() and value.isalpha()):
        raise invalid(name, f"{name} must be a currency code of three letters (ISO 4217), such as USD.")
    return value.upper()


def timezone(name: str, value: Any) -> str:
    """A name from the IANA time zone database."""
    if not isinstance(value, str) or value not in _timezones():
        raise invalid(name, f"{name} must be an IANA time zone such as Africa/Lagos.")
    return ZoneInfo(value).key


def moment(name: str, value: Any) -> datetime:
    """An instant in the future, ISO 8601; UTC where it has no offset."""
    at = parse_instant(value, name) if isinstance(value, str) else -1
    if not 0 <= at <= LATEST or instant(at) <= datetime.now(UTC):
        raise invalid(name, f"{name} must be a date and time in the future, such as 2030-01-31T12:00:00Z.")
    return instant(at)


def choices(*allowed: str) -> Rule:
    """A rule for a list that is not empty, of names among the allowed ones; doubles are dropped."""

    def rule(name: str, value: Any) -> list[str]:
        if not isinstance(value, list) or not value or not all(item in allowed for item in value):
            raise invalid(name, f"{name} must be a list of one or more of {', '.join(allowed)}.")
        return list(dict.fromkeys(value))

    return rule


def checked(fields: Mapping[str, Field], document: Any) -> dict[str, Any]:
    """A whole new record from a JSON object; raises TidemarkError naming the field at fault."""
    given = _object(fields, document)
    record = {}
    for name, field in fields.items():
        if name not in given or (given[name] is None and field.nullable and not field.keeps_null):
            if field.required:
                raise invalid(name, f"{name} is missing.")
            record[name] = field.default
        else:
            record[name] = _value(name, field, given[name])
    return record


def without_operators(fields: Mapping[str, Field], document: Any) -> Any:
    """What a tenant sends, unchanged; raises TidemarkError naming the first field that only the operator may set."""
    for name in document if isinstance(document, Mapping) else ():
        if name in fields and fields[name].operators:
            raise invalid(name, f"{name} can only be read here; the operator sets it, with 'tidemark org update'.")
    return document


def changed(fields: Mapping[str, Field], document: Any, current: Mapping[str, Any]) -> dict[str, Any]:
    """A record with the fields that a JSON object gives changed; raises TidemarkError naming the field at fault."""
    record = dict(current)
    for name, value in _object(fields, document).items():
        if value is None and fields[name].nullable and not (fields[name].required or fields[name].keeps_null):
            record[name] = fields[name].default
            continue
        record[name] = _value(name, fields[name], value)
        if fields[name].fixed and record[name] != current[name]:
            raise invalid(name, f"{name} cannot be changed.")
    return record


def _object(fields: Mapping[str, Field], document: Any) -> Mapping[str, Any]:
    if not isinstance(document, Mapping):
        raise invalid("body", "The body must be a JSON object.")
    for name in document:
        if name not in fields:
            raise invalid(str(name), f"There is no field {name}; the fields are {', '.join(fields)}.")
    return document


def _value(name: str, field: Field, value: Any) -> Any:
    if value is None:
        if field.keeps_null:
            return None
        raise invalid(name, f"{name} must not be null.")
    return field.rule(name, value)
