"""The figures of a website: from roll-ups for days on which these are correct, from records for all other days."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any, TypedDict

from tidemark.base.time import enclosing
from tidemark.database.statements import statements

if TYPE_CHECKING:
    from asyncpg import Record

    from tidemark.database.database import Connected

RANGES = (7, 30, 90)
"""Lengths, in days, of the ranges whose sums are kept; others work too, but more slowly."""
TOP_NAMES = 10
MAX_NAMES = 1000
"""Maximum number of event names or active pages in a response."""
REALTIME = timedelta(minutes=5)
_FACETS = {"page": "topPages", "referrer": "topReferrers", "browser": "browsers", "country": "countries"}
_NAMES = {"page": ("pathname", "views"), "referrer": ("referrer", "count")}
_NAMES |= {"browser": ("browser", "count"), "country": ("country", "count")}


@dataclass(frozen=True, slots=True)
class SiteDays:
    """Days in a site's time zone, both inclusive."""

    first: date
    last: date

    @classmethod
    def until(cls, today: date, count: int) -> "SiteDays":
        """The last `count` days, including today."""
        return cls(today - timedelta(days=count - 1), today)

    def __len__(self) -> int:
        return (self.last - self.first).days + 1

    def __iter__(self) -> Iterator[date]:
        return (self.first + timedelta(days=number) for number in range(len(self)))


async def stats(connection: "Connected", site_number: int, days: SiteDays) -> dict[str, Any]:
    """Visitors, page views, bounce rate, mean duration, and the top pages, referrers, browsers and countries."""
    async with connection.transaction():
        asked = await _asked(connection, site_number, days)
        rows = await statements().web_days.rows(connection, **asked.parameters)
        top = await _top(connection, asked, list(_FACETS), TOP_NAMES)
    totals = {name: sum(row[name] for row in rows) for name in ("visitors", "pageviews", "sessions", "bounces")}
    sessions = totals["sessions"]
    answer: dict[str, Any] = {
        "visitors": totals["visitors"],
        "pageviews": totals["pageviews"],
        "bounceRate": rounded(100 * totals["bounces"], sessions),
        "avgDuration": rounded(sum(row["duration_us"] for row in rows), 1_000_000 * sessions),
    }
    for facet, title in _FACETS.items():
        name, count = _NAMES[facet]
        answer[title] = [{name: row["name"], count: row["records"]} for row in top if row["facet"] == facet]
    return answer


async def pageviews(connection: "Connected", site_number: int, days: SiteDays, pathname: str | None) -> dict[str, Any]:
    """Page views, in total and by day, and visitors who made them; if a pathname is given, of that page only."""
    async with connection.transaction():
        asked = await _asked(connection, site_number, days)
        if pathname is None:
            rows = await statements().web_days.rows(connection, **asked.parameters)
        else:
            rows = await statements().web_page_days.rows(connection, **asked.parameters, pathname=pathname)
    of_day = {row["day"]: row["pageviews"] for row in rows}
    return {
        "total": sum(of_day.values()),
        "unique": sum(row["viewers"] for row in rows),
        "chart": [{"date": day.isoformat(), "count": of_day.get(day, 0)} for day in days],
    }


async def events(connection: "Connected", site_number: int, days: SiteDays) -> list[dict[str, Any]]:
    """Custom events by name, most frequent first."""
    async with connection.transaction():
        asked = await _asked(connection, site_number, days)
        rows = await _top(connection, asked, ["event"], MAX_NAMES)
    return [{"name": row["name"], "count": row["records"]} for row in rows]


async def realtime(connection: "Connected", site_number: int, now: datetime) -> dict[str, Any]:
    """Visitors in the last five minutes, each counted under their latest page."""
    rows = await statements().web_active_pages.rows(connection, site_number=site_number, since=now - REALTIME)
    return {
        "activeVisitors": sum(row["visitors"] for row in rows),
        "activePages": [{"path": row["path"], "visitors": row["visitors"]} for row in rows[:MAX_NAMES]],
    }


def rounded(total: int, parts: int) -> int:
    """total / parts, rounded half up; 0 if there are no parts."""
    return (2 * total + parts) // (2 * parts) if parts else 0


class _Parameters(TypedDict):
    """Parameters of a query's statements: its days, and those to compute from records, with the instants around
    them.
    """

    site_number: int
    first_day: date
    last_day: date
    raw_days: list[date]
    start: datetime
    finish: datetime


@dataclass(frozen=True, slots=True)
class _Asked:
    """A query as of a snapshot."""

    parameters: _Parameters
    summed_up: bool
    """Whether the sums that are kept cover all days but the last."""


async def _top(connection: "Connected", asked: _Asked, facets: list[str], limit: int) -> "list[Record]":
    """The most frequent names of some facets, at most `limit` of each."""
    statement = statements().web_top_of_range if asked.summed_up else statements().web_top
    return await statement.rows(connection, **asked.parameters, facets=facets, max_rows=limit)


async def _asked(connection: "Connected", site_number: int, days: SiteDays) -> _Asked:
    rows = await statements().days_without_web_roll_up.rows(
        connection, site_number=site_number, first_day=days.first, last_day=days.last
    )
    raw_days = [row["day"] for row in rows]
    start, finish = enclosing(raw_days)
    summed_up = raw_days == [days.last] and rows[0]["summed_up_before"] is True and len(days) in RANGES
    parameters: _Parameters = {
        "site_number": site_number,
        "first_day": days.first,
        "last_day": days.last,
        "raw_days": raw_days,
        "start": start,
        "finish": finish,
    }
    return _Asked(parameters, summed_up)
