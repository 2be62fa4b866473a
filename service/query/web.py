"""Figures of a web site over its days: from roll-ups where these are right, from records for all other days."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any

from service.query.window import enclosing
from service.storage.statements import statements

if TYPE_CHECKING:
    from service.storage.database import Connected

LARGEST = 10
MOST_NAMES = 1000
"""Names of events, and active pages, that an answer lists at most."""
REALTIME = timedelta(minutes=5)
_FACETS = {"page": "topPages", "referrer": "topReferrers", "browser": "browsers", "country": "countries"}
_NAMES = {"page": ("pathname", "views"), "referrer": ("referrer", "count")}
_NAMES |= {"browser": ("browser", "count"), "country": ("country", "count")}


@dataclass(frozen=True, slots=True)
class Days:
    """Days of a site's time zone, both included."""

    first: date
    last: date

    @classmethod
    def until(cls, today: date, count: int) -> "Days":
        """That many days including today."""
        return cls(today - timedelta(days=count - 1), today)

    def __iter__(self) -> Iterator[date]:
        return (self.first + timedelta(days=number) for number in range((self.last - self.first).days + 1))


async def stats(connection: "Connected", site_number: int, days: Days) -> dict[str, Any]:
    """Visitors, page views, bounces, durations, and the largest pages, referrers, browsers and countries."""
    async with connection.transaction():
        asked = await _asked(connection, site_number, days)
        rows = await statements().web_days.rows(connection, **asked)
        top = await statements().web_top.rows(connection, **asked, facets=list(_FACETS), most=LARGEST)
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


async def pageviews(connection: "Connected", site_number: int, days: Days, pathname: str | None) -> dict[str, Any]:
    """Page views in all and on each day, and their visitors; of one page where a pathname is given."""
    async with connection.transaction():
        asked = await _asked(connection, site_number, days)
        if pathname is None:
            rows = await statements().web_days.rows(connection, **asked)
        else:
            rows = await statements().web_page_days.rows(connection, **asked, pathname=pathname)
    of_day = {row["day"]: row["pageviews"] for row in rows}
    return {
        "total": sum(of_day.values()),
        "unique": sum(row["viewers"] for row in rows),
        "chart": [{"date": day.isoformat(), "count": of_day.get(day, 0)} for day in days],
    }


async def events(connection: "Connected", site_number: int, days: Days) -> list[dict[str, Any]]:
    """Custom events by name, the most frequent first."""
    async with connection.transaction():
        asked = await _asked(connection, site_number, days)
        rows = await statements().web_top.rows(connection, **asked, facets=["event"], most=MOST_NAMES)
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


async def _asked(connection: "Connected", site_number: int, days: Days) -> dict[str, Any]:
    """The parameters of a question: which of the days records have to answer, as of this snapshot."""
    of = {"site_number": site_number, "first_day": days.first, "last_day": days.last}
    raw_days = [row["day"] for row in await statements().days_without_web_roll_up.rows(connection, **of)]
    start, finish = enclosing(raw_days)
    return {**of, "raw_days": raw_days, "start": start, "finish": finish}
