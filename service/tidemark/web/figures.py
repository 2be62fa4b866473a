"""Figures of a web site over its days: from roll-ups where these are right, from records for all other days."""

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
"""Days of the ranges that are summed up; others are answered too, more slowly."""
LARGEST = 10
MOST_NAMES = 1000
"""Names of events, and active pages, that an answer lists at most."""
REALTIME = timedelta(minutes=5)
_FACETS = {"page": "topPages", "referrer": "topReferrers", "browser": "browsers", "country": "countries"}
_NAMES = {"page": ("pathname", "views"), "referrer": ("referrer", "count")}
_NAMES |= {"browser": ("browser", "count"), "country": ("country", "count")}


@dataclass(frozen=True, slots=True)
class SiteDays:
    """Days of a site's time zone, both included."""

    first: date
    last: date

    @classmethod
    def until(cls, today: date, count: int) -> "SiteDays":
        """That many days including today."""
        return cls(today - timedelta(days=count - 1), today)

    def __len__(self) -> int:
        return (self.last - self.first).days + 1

    def __iter__(self) -> Iterator[date]:
        return (self.first + timedelta(days=number) for number in range(len(self)))


async def stats(connection: "Connected", site_number: int, days: SiteDays) -> dict[str, Any]:
    """Visitors, page views, bounces, durations, and the largest pages, referrers, browsers and countries."""
    async with connection.transaction():
        asked = await _asked(connection, site_number, days)
        rows = await statements().web_days.rows(connection, **asked.parameters)
        top = await _top(connection, asked, list(_FACETS), LARGEST)
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
    """Page views in all and on each day, and their visitors; of one page where a pathname is given."""
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
    """Custom events by name, the most frequent first."""
    async with connection.transaction():
        asked = await _asked(connection, site_number, days)
        rows = await _top(connection, asked, ["event"], MOST_NAMES)
    return [{"name": row["name"], "count": row["records"]} for row in rows]


async def realtime(connection: "Connected", site_number: int, now: datetime) -> dict[str, Any]:
    """Visitors of the last five minutes, each under its latest page."""
    rows = await statements().web_active_pages.rows(connection, site_number=site_number, since=now - REALTIME)
    return {
        "activeVisitors": sum(row["visitors"] for row in rows),
        "activePages": [{"path": row["path"], "visitors": row["visitors"]} for row in rows[:MOST_NAMES]],
    }


def rounded(total: int, parts: int) -> int:
    """total / parts, half rounded up; 0 where there are no parts."""
    return (2 * total + parts) // (2 * parts) if parts else 0


class _Parameters(TypedDict):
    """What the statements of a question take: its days; those that records answer, within two instants."""

    site_number: int
    first_day: date
    last_day: date
    raw_days: list[date]
    start: datetime
    finish: datetime


@dataclass(frozen=True, slots=True)
class _Asked:
    """A question as of a snapshot."""

    parameters: _Parameters
    summed_up: bool
    """Whether all days but the last are summed up."""


async def _top(connection: "Connected", asked: _Asked, facets: list[str], most: int) -> "list[Record]":
    """The largest names of some facets."""
    statement = statements().web_top_of_range if asked.summed_up else statements().web_top
    return await statement.rows(connection, **asked.parameters, facets=facets, most=most)


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
