"""The rules for fields, each of them once: whoever is given a value asks here, and says the same of it.

A rule takes the name under which its asker knows the field (`rate_limit` in a document, `--rate-limit` on the command
line) and a value other than null. It returns the value to use, or raises FieldError with a message that begins with the
name. What readings are made of has rules of its own: `tidemark.base.values`.
"""

import re
from collections.abc import Callable
from datetime import UTC, datetime
from functools import cache
from typing import Any
from zoneinfo import ZoneInfo, available_timezones

import idna

from tidemark.base import time
from tidemark.base.errors import invalid
from tidemark.base.time import FIRST_YEAR, LAST_YEAR, LATEST, askable
from tidemark.base.values import has_control, parse_instant

MAX_TEXT = 500
"""Characters of a text that is kept."""
MAX_INTEGER = 2**31 - 1
MAX_POSITIVE = 1e15
_MAX_DIGITS = 20
"""Digits of a whole number, leading zeros included; `int` refuses thousands."""

_HOST = re.compile(r"(?=.{1,253}$)(?!-)[a-z0-9-]{1,63}(\.(?!-)[a-z0-9-]{1,63})*")

Rule = Callable[[str, Any], Any]
"""Takes a field's name and a value other than null; returns the value to use or raises FieldError."""


@cache  # it reads the whole folder of the database
def _timezones() -> frozenset[str]:
    # These mean what a machine was set to, or nothing; the database server does not know all of them.
    return frozenset(available_timezones() - {"localtime", "posixrules", "Factory"})


def filled(name: str, value: Any, limit: int = MAX_TEXT) -> str:
    """Text that is not blank, of at most `limit` characters."""
    if not isinstance(value, str) or not value.strip():
        raise invalid(name, f"{name} must be text that is not empty.")
    return limited(name, value, limit)


def limited(name: str, value: str, limit: int) -> str:
    """Text of at most `limit` characters."""
    if len(value) > limit:
        raise invalid(name, f"{name} is at most {limit} characters long.")
    return value


def printable(name: str, value: str) -> str:
    """Text without characters that no id and no name may have (see `has_control`)."""
    if has_control(value):
        raise invalid(name, f"{name} must not contain control characters.")
    return value


def text(name: str, value: Any, limit: int = MAX_TEXT) -> str:
    """Text that is not blank, of at most `limit` characters, without control characters."""
    return printable(name, filled(name, value, limit))


def identifier(name: str, value: Any) -> str:
    """Text that can stand in a path and in a comma list."""
    checked = text(name, value)
    if checked != checked.strip(" ") or any(mark in checked for mark in ',"/'):
        raise invalid(name, f"{name} must not contain commas, double quotes, slashes or surrounding spaces.")
    if checked in (".", ".."):
        raise invalid(name, f"{name} must not be {checked!r}, which means another place in a path.")
    return checked


def whole_number(name: str, value: Any, limit: int = MAX_INTEGER) -> int:
    """A whole number from 1 to `limit`, as a number or as digits."""
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= _MAX_DIGITS:
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= limit:
        raise invalid(name, f"{name} must be a whole number from 1 to {limit}.")
    return value


def whole_numbers(name: str, value: Any) -> list[int]:
    """A list of whole numbers from 1 to 2,147,483,647; duplicates are dropped."""
    if not isinstance(value, list):
        raise invalid(name, f"{name} must be a list of whole numbers.")
    return list(dict.fromkeys(whole_number(name, item) for item in value))


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
    """True or false; also as text, which command lines and URLs have."""
    if isinstance(value, bool):
        return value
    if value not in ("true", "false"):
        raise invalid(name, f"{name} must be true or false.")
    return bool(value == "true")


def one_of(name: str, value: Any, *allowed: str, nullable: bool = False) -> str:
    """One of the allowed words; the message names null among them where it is allowed too."""
    if not isinstance(value, str) or value not in allowed:
        raise invalid(name, f"{name} must be one of {_listed((*allowed, 'null') if nullable else allowed)}.")
    return value


def some_of(*allowed: str) -> Rule:
    """A rule for a list of one or more of the allowed words; duplicates are dropped."""

    def rule(name: str, value: Any) -> list[str]:
        if not isinstance(value, list) or not value or not all(item in allowed for item in value):
            raise invalid(name, f"{name} must be a list of one or more of {', '.join(allowed)}.")
        return list(dict.fromkeys(value))

    return rule


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


def country(name: str, value: Any) -> str:
    """Two letters, ISO 3166-1 alpha-2."""
    if not _is_code(value, 2):
        raise invalid(name, f"{name} must be a country code of two letters (ISO 3166), such as NG.")
    return str(value).upper()


def currency(name: str, value: Any) -> str:
    """Three letters, ISO 4217."""
    if not _is_code(value, 3):
        raise invalid(name, f"{name} must be a currency code of three letters (ISO 4217), such as USD.")
    return str(value).upper()


def timezone(name: str, value: Any) -> str:
    """A name from the IANA time zone database."""
    if not isinstance(value, str) or value not in _timezones():
        raise invalid(name, f"{name} must be an IANA time zone such as Africa/Lagos.")
    return ZoneInfo(value).key


def instant(name: str, value: str) -> int:
    """An instant that a question may name, in microseconds since 1970 UTC: from 1970 to 9998, ISO 8601; UTC where it
    has no offset, midnight where it is a date.
    """
    at = parse_instant(value, name)
    if not askable(at):
        raise invalid(name, f"{name} must be an instant from {FIRST_YEAR} to {LAST_YEAR}.")
    return at


def future(name: str, value: Any) -> datetime:
    """An instant in the future, ISO 8601; UTC where it has no offset."""
    at = parse_instant(value, name) if isinstance(value, str) else -1
    if not 0 <= at <= LATEST or time.instant(at) <= datetime.now(UTC):
        raise invalid(name, f"{name} must be a date and time in the future, such as 2030-01-31T12:00:00Z.")
    return time.instant(at)


def _is_code(value: Any, letters: int) -> bool:
    return isinstance(value, str) and len(value) == letters and value.isascii() and value.isalpha()


def _listed(words: tuple[str, ...]) -> str:
    return f"{', '.join(words[:-1])}, or {words[-1]}" if len(words) > 2 else " or ".join(words)
