"""A query to an analytics endpoint: days in the company's time zone, split into periods."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

from tidemark.base.errors import not_found
from tidemark.database.statements import statements

if TYPE_CHECKING:
    from tidemark.database.database import Connected

EPOCH = date(1970, 1, 1)
DAY = timedelta(days=1)
PERIODS = ("day", "week", "month")


@dataclass(frozen=True, slots=True)
class DateRange:
    """Days from the first to the last, both inclusive."""

    first: date
    last: date


@dataclass(frozen=True, slots=True)
class Question:
    """A company's window, split into days, ISO weeks or months that are clipped to it."""

    company_id: int
    country: str | None
    currency: str
    today: date
    """The current date in the company's time zone."""
    window: DateRange
    period: str
    periods: Sequence[DateRange]

    @property
    def starts(self) -> list[date]:
        """The first days of the periods."""
        return [one.first for one in self.periods]

    def parts(self) -> dict[str, Any]:
        """The buckets of a roll-up that make up the periods, as query parameters: buckets of the period's length for
        whole periods without future days, daily buckets for all others.
        """
        head, tail = 0, len(self.periods)
        while head < tail and self._needs_days(self.periods[head]):
            head += 1
        while head < tail and self._needs_days(self.periods[tail - 1]):
            tail -= 1
        parts = [("day", part) for part in (self._of(0, head), self._of(tail, len(self.periods))) if part]
        whole = self._of(head, tail)
        if whole:
            parts.append((self.period, whole))
        return {
            "starts": self.starts,
            "periods": [period for period, _ in parts],
            "firsts": [days.first for _, days in parts],
            "lasts": [days.last for _, days in parts],
        }

    def _of(self, start: int, end: int) -> DateRange | None:
        return DateRange(self.periods[start].first, self.periods[end - 1].last) if start < end else None

    def _needs_days(self, days: DateRange) -> bool:
        """Whether a period has to be read from daily buckets: it is clipped, or contains future days."""
        return (
            self.period != "day"
            and (days.first != begin(days.first, self.period) or days.last != end(days.last, self.period))
        ) or days.last > self.today


async def question(connection: "Connected", company_id: int, first: date, last: date, period: str) -> Question:
    """The query for a company's days from `first` to `last`. Raises TidemarkError (404)."""
    company = await statements().analytics_company.row(connection, company_id=company_id)
    if company is None:
        raise not_found("The organization is gone.")
    window = DateRange(first, last)
    return Question(
        company_id,
        company["country"],
        company["currency"],
        company["today"],
        window,
        period,
        split(window, period),
    )


def split(window: DateRange, period: str) -> list[DateRange]:
    """The days, ISO weeks (from Monday) or months of a window, clipped to it."""
    found = []
    first = window.first
    while first <= window.last:
        last = min(end(first, period), window.last)
        found.append(DateRange(first, last))
        first = last + DAY
    return found


def begin(day: date, period: str) -> date:
    """The first day of the period that contains a day."""
    if period == "week":
        return day - timedelta(days=day.weekday())
    return day.replace(day=1) if period == "month" else day


def end(day: date, period: str) -> date:
    """The last day of the period that contains a day."""
    if period == "week":
        return day + timedelta(days=6 - day.weekday())
    if period == "month":
        return (day.replace(day=28) + timedelta(days=4)).replace(day=1) - DAY
    return day


def months(days: DateRange) -> list[date]:
    """The first days of the months that contain any of these days."""
    return [begin(one.first, "month") for one in split(days, "month")]
