"""Query parameters that several surfaces share."""

import re
from collections.abc import Mapping
from datetime import date, datetime
from zoneinfo import ZoneInfo

from tidemark.base import rules
from tidemark.base.errors import invalid
from tidemark.base.time import FIRST_YEAR, LAST_YEAR
from tidemark.base.values import parse_instant

MAX_YEARS = 5

_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_PLUS_LOST = re.compile(r"(.*:[0-9]{2}(?:\.[0-9]+)?) ([0-9]{2}:?[0-9]{2})")


def dates(query: Mapping[str, str]) -> tuple[date, date]:
    """`start_date` and `end_date`, both included and required, at most five years apart. Raises TidemarkError."""
    first, last = day("start_date", query.get("start_date")), day("end_date", query.get("end_date"))
    if last < first:
        raise invalid("end_date", "end_date is before start_date.")
    if (last.year - MAX_YEARS, last.month, last.day) > (first.year, first.month, first.day):
        raise invalid("end_date", f"end_date is more than {MAX_YEARS} years after start_date; ask for less at a time.")
    return first, last


def number(query: Mapping[str, str], name: str) -> int | None:
    """The id that a parameter gives, None where it is not there. Raises TidemarkError."""
    given = query.get(name)
    return None if given is None else rules.whole_number(name, given)


def choice(query: Mapping[str, str], name: str, default: str, *allowed: str) -> str:
    """One of the allowed words. Raises TidemarkError."""
    return rules.one_of(name, query.get(name, default), *allowed)


def names(query: Mapping[str, str], name: str) -> tuple[str, ...]:
    """The entries of a comma list, each once, in order; none where it is not there. Raises TidemarkError."""
    given = query.get(name)
    if given is None:
        return ()
    return tuple(dict.fromkeys(rules.text(name, item).strip(" ") for item in given.split(",")))


def timezone(query: Mapping[str, str]) -> ZoneInfo | None:
    """The `timezone` that is asked for, None where none is. Raises TidemarkError."""
    given = query.get("timezone")
    # The plus of Etc/GMT+3 arrives as a space where it was not percent-encoded.
    return None if given is None else ZoneInfo(rules.timezone("timezone", given.replace(" ", "+")))


def instant(name: str, value: str) -> int:
    """Microseconds since 1970 UTC of a parameter; the plus of an offset may have been lost. Raises TidemarkError."""
    return parse_instant(_with_plus(value), name)


def _with_plus(value: str) -> str:
    # The plus of an offset that was not percent-encoded arrives as a space.
    return _PLUS_LOST.sub(r"\1+\2", value)


def moment(name: str, given: str | None) -> int:
    """An instant from 1970 to 9998, in microseconds since 1970 UTC. Raises TidemarkError where there is none."""
    if not given:
        raise invalid(name, f"{name} is required, as a date and time in ISO 8601.")
    return rules.instant(name, _with_plus(given))


def day(name: str, given: str | None) -> date:
    """A date from 1970 to 9998, as YYYY-MM-DD. Raises TidemarkError where it is none, or not there."""
    if not given:
        raise invalid(name, f"{name} is required, as YYYY-MM-DD.")
    try:
        found = datetime.strptime(given, "%Y-%m-%d").date() if _DAY.fullmatch(given) else None  # noqa: DTZ007
    except ValueError:
        found = None
    if found is None:
        raise invalid(name, f"{name} must be a date such as 2026-01-31.")
    if not FIRST_YEAR <= found.year <= LAST_YEAR:
        raise invalid(name, f"{name} must be a date from {FIRST_YEAR} to {LAST_YEAR}.")
    return found
