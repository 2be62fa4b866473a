"""Rules for single values, shared by every wire format and surface: instants, numbers, coordinates, metadata, and the
characters of ids and names."""

import re
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from decimal import ROUND_FLOOR, Context, Decimal, InvalidOperation
from functools import lru_cache
from math import isfinite, isnan
from typing import TypeAlias

import orjson

from tidemark.base.errors import FieldError

MAX_VALUE = 1e150
"""Largest absolute value of a reading's value."""
TOO_LARGE = "The number is too large: a value is at most 1e150 in size."
MAX_METADATA = 64 * 1024
"""Largest size of a reading's metadata as compact JSON, in bytes."""
MAX_SENT_METADATA = 1024 * 1024
"""Largest size of a reading's metadata as sent, with whitespace and escapes, in bytes. More is not decoded: it would
be many times as large in memory."""
MAX_AHEAD = 86_400_000_000
"""How far a reading's instant may lie ahead of the server's clock, in microseconds."""
EPOCH_UNITS = {"s": 6, "ms": 3, "us": 0, "ns": -3}
"""Units of numbers that count from 1970 UTC, each with its size in microseconds as a power of ten."""

# Unicode's category Cc, line and paragraph separators, and surrogates, which UTF-8 does not have.
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 - offsets are applied to whole microseconds, where no year can overflow
_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_MAX_NUMBER_LENGTH = 400
_EVERY_DIGIT = Context(prec=2 * _MAX_NUMBER_LENGTH)
_MAX_EPOCH_DIGITS = 30  # before the decimal point; more would be far beyond any time that is accepted
_TIMESTAMP = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2}(?:[Tt ][0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:[.,][0-9]{1,30})?)?)?)"
    r" ?([Zz]|[+-][0-9]{2}(?::?[0-9]{2})?)?"
)


Clock: TypeAlias = Callable[[], int]
"""Returns the current time in microseconds since 1970 UTC."""


def has_control(text: str) -> bool:
    """Whether a text has a character that no id or name may have: a control character (category Cc), a line or
    paragraph separator, or a lone surrogate. Spaces of any kind, joiners and non-joiners are parts of words.
    """
    return _CONTROL.search(text) is not None


def storable(text: str) -> str:
    """A text as a statement can take it. PostgreSQL's has neither NUL nor lone surrogates; what has any is changed, and
    equals no text that is stored.
    """
    return text.replace("\0", "\ufffd").encode("utf-8", "replace").decode()


def parse_instant(text: str, field: str = "timestamp") -> int:
    """Microseconds since 1970 UTC of an ISO 8601 date and time; without an offset in UTC, a date alone at midnight.

    Digits beyond microseconds are cut. The result may be negative. Raises FieldError.
    """
    match = _TIMESTAMP.fullmatch(text)
    if match is None:
        raise FieldError(field, f"{_shown(text)} is not an ISO 8601 date and time such as 2020-10-13T14:02:39.489Z.")
    try:
        since = datetime.fromisoformat(match[1]) - _EPOCH
    except ValueError as error:
        raise FieldError(field, f"{_shown(text)} is not a date and time: {error}.") from None
    at = (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds
    offset = match[2]
    if offset is None or offset in "Zz":
        return at
    hours, minutes = int(offset[1:3]), int(offset[-2:]) if len(offset) > 3 else 0
    if hours > 23 or minutes > 59:
        raise FieldError(field, f"{_shown(text)} has an offset that is not a time.")
    ahead = (hours * 60 + minutes) * 60_000_000
    return at + ahead if offset[0] == "-" else at - ahead


def is_number(text: str) -> bool:
    """Whether a text is a number as JSON and CSV write it."""
    return len(text) <= _MAX_NUMBER_LENGTH and _NUMBER.fullmatch(text) is not None


def parse_epoch(number: str, unit: str, field: str = "timestamp") -> int:
    """Microseconds since 1970 UTC of a number (see `is_number`) in one of `EPOCH_UNITS`, exact to the microsecond;
    digits beyond that are cut. A number far out of range becomes another one that is out of range.

    Raises FieldError if even its exponent is out of range.
    """
    try:
        exact = Decimal(number)
    except InvalidOperation:
        raise FieldError(field, f"The exponent of {_shown(number)} is out of range.") from None
    if exact and exact.adjusted() > _MAX_EPOCH_DIGITS:
        return -1 if exact < 0 else 10**_MAX_EPOCH_DIGITS
    if exact and exact.adjusted() < -_MAX_NUMBER_LENGTH:
        return -1 if exact < 0 else 0
    return int(_EVERY_DIGIT.scaleb(exact, EPOCH_UNITS[unit]).to_integral_value(ROUND_FLOOR))


def clock() -> int:
    """The current time of this machine in microseconds since 1970 UTC."""
    return time.time_ns() // 1000


def check_instant(at: int, now: int, field: str = "timestamp", noun: str = "A reading") -> int:
    """Return a reading's instant (microseconds since 1970 UTC). Raises FieldError if no reading can be of that time."""
    if at < 0:
        raise FieldError(field, f"{noun} cannot be older than 1970-01-01T00:00:00Z.")
    if at > now + MAX_AHEAD:
        raise FieldError(field, f"{noun} cannot be more than a day ahead of the server's clock.")
    return at


@lru_cache(maxsize=4096)  # coordinates and many values come again and again
def _number_of(text: str) -> float | None:
    return float(text) if is_number(text) else None


def parse_number(value: str | float, field: str) -> float:
    """A finite number from JSON text or a JSON number; −0 stays −0. Raises FieldError."""
    if isinstance(value, str):
        sent = _number_of(value) if len(value) <= _MAX_NUMBER_LENGTH else None  # longer ones are not remembered
        if sent is None:
            raise FieldError(field, f"{_shown(value)} is not a number; write it like 12.5 or 1.25e1.")
        number = sent
    else:
        number = float(value)
    if isfinite(number):
        return number
    if isnan(number):
        raise FieldError(field, "NaN is not a number that can be stored.")
    raise FieldError(field, "The number is too large.")


def parse_value(value: str | float, field: str = "value") -> float:
    """A reading's value: finite, at most 1e150 in absolute value. Raises FieldError."""
    number = parse_number(value, field)
    if abs(number) > MAX_VALUE:
        raise FieldError(field, TOO_LARGE)
    return number


def compact_json(document: bytes, field: str) -> str:
    """Any JSON, at most 1 MiB, in its compact form, at most 64 KiB; integers beyond 64 bits become doubles.

    Raises FieldError.
    """
    if len(document) > MAX_SENT_METADATA:
        raise FieldError(
            field,
            f"Metadata is at most {MAX_METADATA // 1024} KiB of JSON in its compact form, and "
            f"{MAX_SENT_METADATA // 1024 // 1024} MiB as it is sent, not {len(document)} bytes.",
        )
    try:
        text = orjson.dumps(orjson.loads(document))
    except (orjson.JSONDecodeError, orjson.JSONEncodeError, RecursionError) as error:
        raise FieldError(field, f"This is not JSON: {error}.") from None
    if len(text) > MAX_METADATA:
        raise FieldError(field, f"Metadata is at most {MAX_METADATA // 1024} KiB of JSON, not {len(text)} bytes.")
    return text.decode()


def format_number(value: float) -> str:
    """The shortest text that reads back to the same double: `12`, `12.5`, `1e+22`, `-0`."""
    text = repr(value)
    return text[:-2] if text.endswith(".0") else text


def format_instant(at: int) -> str:
    """Microseconds since 1970 as ISO 8601 in UTC, with six decimals and `Z` (years 1 to 9999)."""
    return f"{_format_second(at // 1_000_000)}.{at % 1_000_000:06d}Z"


@lru_cache(maxsize=4096)  # many readings share a second
def _format_second(second: int) -> str:
    return (_EPOCH + timedelta(seconds=second)).isoformat()


def _shown(text: str) -> str:
    return repr(text if len(text) <= 50 else text[:47] + "…")
