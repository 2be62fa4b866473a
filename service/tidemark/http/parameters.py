"""Query parameters: which ones an endpoint knows, and what their values mean."""

import re
from collections.abc import Iterable
from datetime import date, datetime
from typing import Self
from zoneinfo import ZoneInfo

from aiohttp import web

from tidemark.base import rules
from tidemark.base.errors import invalid
from tidemark.base.time import FIRST_YEAR, LAST_YEAR
from tidemark.base.values import parse_instant
from tidemark.http.paging import DEFAULT_PAGE_SIZE, MAX_PAGE, MAX_PAGE_SIZE, PAGING, Page

MAX_YEARS = 5

_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_PLUS_LOST = re.compile(r"(.*:[0-9]{2}(?:\.[0-9]+)?) ([0-9]{2}:?[0-9]{2})")


class Parameters(dict[str, str]):
    """The parameters of a request by name, in the order given.

    Unknown and repeated names are refused. If they were ignored, the client would get the answer to another question.
    It is a `dict` for speed: what a `Mapping` in Python costs shows where dashboards poll.
    """

    __slots__ = ()

    def __init__(self, given: Iterable[tuple[str, str]], *known: str) -> None:
        """`given` are names and values. Raises TidemarkError for a name that is unknown or given more than once."""
        super().__init__()
        for name, value in given:
            if name not in known:
                others = f", only {', '.join(known)}" if known else "; this endpoint accepts none"
                raise invalid(name[:100], f"There is no parameter {name[:100]!r} here{others}.")
            if name in self:
                raise invalid(name, f"{name} is given more than once.")
            self[name] = value

    @classmethod
    def of(cls, request: web.Request, *known: str) -> Self:
        """All parameters of a request's query. Raises TidemarkError for one that is unknown or given more than once."""
        return cls(request.query.items(), *known)

    @classmethod
    def among_others(cls, request: web.Request, *known: str) -> Self:
        """The known parameters of a request's query; others are ignored. Raises TidemarkError for a repeated one."""
        return cls(((name, value) for name, value in request.query.items() if name in known), *known)

    @classmethod
    def first_of_each(cls, request: web.Request, *known: str) -> Self:
        """The known parameters of a request's query, the first of each; everything else is ignored.

        InfluxDB reads its clients' parameters this way.
        """
        return cls(((name, request.query[name]) for name in known if name in request.query), *known)

    def page(self) -> Page:
        """The requested page, by default the first. Raises TidemarkError."""
        return Page(
            self.whole_number("page", 1, MAX_PAGE), self.whole_number("page_size", DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE)
        )

    def is_paged(self) -> bool:
        """Whether the request asks for a page."""
        return any(name in self for name in PAGING)

    def dates(self) -> tuple[date, date]:
        """`start_date` and `end_date`, both included and required, at most five years apart. Raises TidemarkError."""
        first, last = self.day("start_date"), self.day("end_date")
        if last < first:
            raise invalid("end_date", "end_date is before start_date.")
        if (last.year - MAX_YEARS, last.month, last.day) > (first.year, first.month, first.day):
            raise invalid(
                "end_date", f"end_date is more than {MAX_YEARS} years after start_date; ask for less at a time."
            )
        return first, last

    def number(self, name: str) -> int | None:
        """The id that a parameter gives, None if it is absent. Raises TidemarkError."""
        given = self.get(name)
        return None if given is None else rules.whole_number(name, given)

    def whole_number(self, name: str, default: int, limit: int) -> int:
        """A whole number from 1 to `limit`. Raises TidemarkError."""
        given = self.get(name)
        return default if given is None else rules.whole_number(name, given, limit)

    def choice(self, name: str, default: str, *allowed: str) -> str:
        """One of the allowed words. Raises TidemarkError."""
        return rules.one_of(name, self.get(name, default), *allowed)

    def names(self, name: str) -> tuple[str, ...]:
        """The entries of a comma-separated list, in order, without duplicates; none if it is absent. Raises
        TidemarkError.
        """
        given = self.get(name)
        if given is None:
            return ()
        return tuple(dict.fromkeys(rules.text(name, item).strip(" ") for item in given.split(",")))

    def timezone(self) -> ZoneInfo | None:
        """The requested `timezone`, None if it is absent. Raises TidemarkError."""
        given = self.get("timezone")
        # The plus of Etc/GMT+3 arrives as a space unless it was percent-encoded.
        return None if given is None else ZoneInfo(rules.timezone("timezone", given.replace(" ", "+")))

    def instant(self, name: str) -> int | None:
        """An instant in microseconds since 1970 UTC, None if it is absent. Raises TidemarkError."""
        given = self.get(name)
        return None if given is None else parse_instant(_with_plus(given), name)

    def moment(self, name: str) -> int:
        """An instant from 1970 to 9998, in microseconds since 1970 UTC, which is required. Raises TidemarkError."""
        given = self.get(name)
        if not given:
            raise invalid(name, f"{name} is required, as a date and time in ISO 8601.")
        return rules.instant(name, _with_plus(given))

    def day(self, name: str) -> date:
        """A date from 1970 to 9998, as YYYY-MM-DD, which is required. Raises TidemarkError."""
        given = self.get(name)
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


def _with_plus(value: str) -> str:
    # The plus of an offset arrives as a space unless it was percent-encoded.
    return _PLUS_LOST.sub(r"\1+\2", value)
