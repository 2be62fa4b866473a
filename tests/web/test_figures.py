"""Every figure of random visits equals a plain recomputation, while days are rolled up and records arrive late."""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import asyncpg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tidemark.base.time import instant
from tidemark.base.watch import Watch
from tidemark.catalog import resources, welcome
from tidemark.catalog.resources import SITES
from tidemark.database.database import SESSION, Database
from tidemark.database.migration import migrate
from tidemark.database.statements import statements
from tidemark.embedded.server import Server
from tidemark.web import figures
from tidemark.web import rollup as web_rollup
from tidemark.web.figures import SiteDays
from tidemark.web.record import OTHER
from tidemark.web.visitors import site_day
from tidemark.web.writer import CollectorLimits, WebRecord, WebWriter, columns_of

# Eight days; daylight saving time begins in Berlin two days before the end.
BEGIN = datetime(2025, 3, 24, tzinfo=UTC)
SPAN = timedelta(days=8)
NOW = BEGIN + SPAN
ZONES = ("UTC", "Europe/Berlin", "Asia/Kathmandu", "Pacific/Kiritimati", "Pacific/Marquesas")
PATHS = tuple(f"/{name}" for name in ("", "pricing", *(f"page-{number}" for number in range(11))))
NAMES = ("signup", "Download", "é", "a b", "".join(map(chr, random.Random(1).choices(range(0x1F300, 0x1F600), k=512))))
"""Names of events; the last one has the maximum length that is stored."""
BREAK = 30 * 60 * 1_000_000
CHECKS = 40
STORED = """
    SELECT
        site_number, (extract(epoch FROM ts) * 1000000)::bigint, id, day, visitor, kind::text, pathname, event,
        referrer, browser, country
    FROM web_record WHERE site_number = $1 AND day BETWEEN $2 AND $3
"""
STEPS = (0, 1, 1_000_000, 90_000_000, BREAK - 1, BREAK, BREAK + 1, 5 * BREAK)


@dataclass
class World:
    """A site in a database, and the records that it should contain."""

    database: Database
    connection: "asyncpg.Connection[Any]"
    writer: WebWriter
    site_number: int
    zone: ZoneInfo
    names: int
    """How many distinct names of each kind a day may have."""
    records: list[WebRecord] = field(default_factory=list)

    async def write(self, records: Iterable[WebRecord]) -> None:
        """Store records as the collector does, and wait for their commit."""
        written = list(records)
        await asyncio.gather(*(self.writer.store(record) for record in written))
        rows = await self.connection.fetch(STORED, self.site_number, date.min, date.max)
        stored = {record.id: record for record in (WebRecord(*row) for row in rows)}
        self.records += [with_others(record, stored[record.id]) for record in written]
        self.check_names()

    def check_names(self) -> None:
        """Assert that names count as `(other)` if and only if their day already has as many as it may."""
        of_day: dict[tuple[str, date], set[str | None]] = {}
        for record in self.records:
            for facet in FACETS:
                of_day.setdefault((facet, record.day), {None}).add(getattr(record, facet))
        for names in of_day.values():
            assert len(names - {None, OTHER}) == self.names if OTHER in names else len(names) - 1 <= self.names

    async def check(self, now: datetime = NOW) -> None:
        """Compare the figures of each range, of some pages, and of the last five minutes with the recomputation."""
        today = now.astimezone(self.zone).date()
        for count in (7, 30, 90):
            days = SiteDays.until(today, count)
            async with self.database.snapshot() as connection:
                assert await figures.stats(connection, self.site_number, days) == plain_stats(self.records, days)
                found = await figures.events(connection, self.site_number, days)
                assert found == plain_events(self.records, days)
                for pathname in (None, "/pricing", "/nowhere"):
                    answer = await figures.pageviews(connection, self.site_number, days, pathname)
                    assert answer == plain_pageviews(self.records, days, pathname)
        async with self.database.snapshot() as connection:
            assert await figures.realtime(connection, self.site_number, now) == plain_realtime(self.records, now)


FACETS = ("pathname", "event", "referrer", "browser")


def with_others(written: WebRecord, stored: WebRecord) -> WebRecord:
    """A stored record, which must equal the written one except for names stored as `(other)`."""
    others: dict[str, Any] = {facet: OTHER for facet in FACETS if getattr(stored, facet) == OTHER}
    assert stored == written._replace(**others)
    return stored


# The plain recomputation: the definitions, taken literally.


def of_days(records: Iterable[WebRecord], days: SiteDays) -> list[WebRecord]:
    """The records of those days, in order."""
    return sorted((record for record in records if days.first <= record.day <= days.last), key=lambda one: one.at)


def plain_sessions(records: list[WebRecord]) -> list[list[WebRecord]]:
    """Consecutive records of a visitor that are at most 30 minutes apart, within a day."""
    sessions: list[list[WebRecord]] = []
    latest: dict[tuple[date, UUID], list[WebRecord]] = {}
    for record in records:
        current = latest.get((record.day, record.visitor))
        if current is None or record.at - current[-1].at > BREAK:
            current = latest[record.day, record.visitor] = []
            sessions.append(current)
        current.append(record)
    return sessions


def half_up(number: float) -> int:
    """A number, rounded half up."""
    return int(number + 0.5)


def largest(names: Iterable[str | None], key: str, count: str, limit: int = 10) -> list[dict[str, Any]]:
    """The most frequent names, ties ordered by name."""
    counted = Counter(name for name in names if name is not None)
    return [{key: name, count: times} for name, times in sorted(counted.items(), key=lambda one: (-one[1], one[0]))][
        :limit
    ]


def plain_stats(records: list[WebRecord], days: SiteDays) -> dict[str, Any]:
    """What `stats` should return."""
    chosen = of_days(records, days)
    views = [record for record in chosen if record.kind == "pageview"]
    sessions = plain_sessions(chosen)
    bounces = [one for one in sessions if [r.kind for r in one if r.kind != "leave"] == ["pageview"]]
    durations = [one[-1].at - one[0].at for one in sessions]
    return {
        "visitors": len({(record.day, record.visitor) for record in chosen}),
        "pageviews": len(views),
        "bounceRate": half_up(100 * len(bounces) / len(sessions)) if sessions else 0,
        "avgDuration": half_up(sum(durations) / 1e6 / len(sessions)) if sessions else 0,
        "topPages": largest((view.pathname for view in views), "pathname", "views"),
        "topReferrers": largest((view.referrer for view in views), "referrer", "count"),
        "browsers": largest((view.browser for view in views), "browser", "count"),
        "countries": largest((view.country for view in views), "country", "count"),
    }


def plain_events(records: list[WebRecord], days: SiteDays) -> list[dict[str, Any]]:
    """What `events` should return."""
    return largest((record.event for record in of_days(records, days)), "name", "count", limit=1000)


def plain_pageviews(records: list[WebRecord], days: SiteDays, pathname: str | None) -> dict[str, Any]:
    """What `pageviews` should return."""
    views = [
        record for record in of_days(records, days) if record.kind == "pageview" and pathname in (None, record.pathname)
    ]
    of_day = Counter(view.day for view in views)
    return {
        "total": len(views),
        "unique": len({(view.day, view.visitor) for view in views}),
        "chart": [{"date": str(day), "count": of_day[day]} for day in days],
    }


def plain_realtime(records: list[WebRecord], now: datetime) -> dict[str, Any]:
    """What `realtime` should return."""
    pages: dict[UUID, str] = {}
    for record in sorted(records, key=lambda one: (one.at, one.id)):
        if record.kind != "leave" and instant(record.at) >= now - timedelta(minutes=5):
            pages[record.visitor] = record.pathname
    return {"activeVisitors": len(pages), "activePages": largest(pages.values(), "path", "visitors", limit=1000)}


# Random visits: few visitors, many pages, pauses around the limit of a session, days in several time zones.


def random_visits(rng: random.Random, zone: ZoneInfo, count: int) -> list[WebRecord]:
    """Records of random visits, some of them across midnight or in the last minutes before NOW."""
    begin, finish = int(BEGIN.timestamp() * 1e6), int(NOW.timestamp() * 1e6)
    records: list[WebRecord] = []
    while len(records) < count:
        at = rng.randrange(begin, finish)
        if rng.random() < 0.3:  # right before the site's midnight
            night = instant(at).astimezone(zone).replace(hour=0, minute=0, second=0, microsecond=0)
            at = int(night.timestamp()) * 1_000_000 - rng.choice((0, 1, 60_000_000))
        elif rng.random() < 0.2:
            at = finish - rng.randrange(10 * 60_000_000)
        who = rng.randrange(12)
        for _ in range(rng.randrange(1, 8)):
            if not begin <= at < finish:
                break
            kind = rng.choice(("pageview", "pageview", "pageview", "event", "leave"))
            viewed = kind == "pageview"
            day = site_day(at, zone)
            records.append(
                WebRecord(
                    0,
                    at,
                    rng.getrandbits(63),
                    day,
                    UUID(int=random.Random(f"{day} {who}").getrandbits(128)),
                    kind,
                    rng.choice(PATHS),
                    rng.choice(NAMES) if kind == "event" else None,
                    rng.choice((None, "example.com", "a.test", "news.test")) if viewed else None,
                    ("Chrome", "Firefox", "Other")[who % 3] if viewed else None,
                    (None, "DE", "NG")[who % 3] if viewed else None,
                )
            )
            at += rng.choice(STEPS)
    return records


@asynccontextmanager
async def made_world(url: str, zone: str, limits: CollectorLimits | None = None) -> AsyncIterator[World]:
    """A new site in a time zone."""
    limits = limits or CollectorLimits()
    connection: asyncpg.Connection[Any] = await asyncpg.connect(url, server_settings=SESSION)
    new = await welcome.create_organization(connection, {"name": "Web"})
    site = await resources.create(
        connection, SITES, new.organization["company_id"], {"domain": "site.test", "timezone": zone}
    )
    number = await connection.fetchval("SELECT site_number FROM site WHERE site_id = $1", site["siteId"])
    database = Database(url)
    await database.open()
    database.ready.set()
    writer = WebWriter(database, Watch(), max_pending=100_000, limits=limits)
    try:
        yield World(database, connection, writer, number, ZoneInfo(zone), limits.names)
    finally:
        await writer.close()
        await database.close()
        await connection.close()


async def play(url: str, seed: int, zone: str) -> None:
    """Write visits in random order and random batches, with roll-ups in between, and check all figures repeatedly."""
    rng = random.Random(seed)
    async with made_world(url, zone, CollectorLimits(names=rng.choice((2, 4, 5000)))) as world:
        records = [one._replace(site_number=world.site_number) for one in random_visits(rng, world.zone, 150)]
        if rng.random() < 0.5:
            records.sort(key=lambda one: one.at)  # as in real life: days end one after the other
        else:
            rng.shuffle(records)  # as no clock would order them: many records are late
        await world.check()
        while records:
            size = rng.randrange(1, 80)
            batch, records = records[:size], records[size:]
            await world.write(batch)
            if rng.random() < 0.7:
                latest = max(instant(one.at) for one in world.records)
                await web_rollup.move_lines(world.connection, rng.choice((latest, NOW)))
            if rng.random() < 0.5:
                await world.check()
            if rng.random() < 0.5:
                await web_rollup.settle_marks(world.connection)
        await world.check()
        await web_rollup.move_lines(world.connection, NOW + timedelta(days=1))
        while await web_rollup.settle_marks(world.connection):
            pass
        await world.check()
        assert await world.connection.fetchval(
            "SELECT count(*) FROM web_daily WHERE site_number = $1", world.site_number
        )


@pytest.fixture(scope="module")
def web_url(server: Server) -> str:
    """A database with Tidemark's schema, for all examples; no other maintenance job runs on it."""

    async def prepare() -> str:
        admin = await asyncpg.connect(server.url_of("postgres"))
        await admin.execute("CREATE DATABASE web_figures")
        await admin.close()
        connection = await asyncpg.connect(server.url_of("web_figures"))
        await migrate(connection)
        await connection.close()
        return server.url_of("web_figures")

    return asyncio.run(prepare())


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**32), zone=st.sampled_from(ZONES))
def test_figures_equal_a_plain_recomputation(web_url: str, seed: int, zone: str) -> None:
    asyncio.run(play(web_url, seed, zone))


async def test_figures_are_exact_under_writers_and_the_job(migrated_url: str) -> None:
    seed = random.randrange(2**32)
    print("seed", seed)
    done = asyncio.Event()
    async with made_world(migrated_url, "Europe/Berlin") as world, AsyncExitStack() as stack:

        async def connect() -> "asyncpg.Connection[Any]":
            connection: asyncpg.Connection[Any] = await asyncpg.connect(migrated_url, server_settings=SESSION)
            stack.push_async_callback(connection.close)
            return connection

        async def writes(number: int) -> None:
            rng = random.Random(seed + number)
            writer = WebWriter(world.database, Watch(), max_pending=100_000)
            while not done.is_set():
                visits = random_visits(rng, world.zone, rng.choice((1, 30)))
                await asyncio.gather(*(writer.store(one._replace(site_number=world.site_number)) for one in visits))
            await writer.close()

        async def maintains() -> None:
            rng = random.Random(seed)
            connection = await connect()
            for hour in range(CHECKS):
                await web_rollup.move_lines(connection, BEGIN + hour * SPAN / CHECKS)
                for _ in range(rng.randrange(3)):
                    await web_rollup.settle_marks(connection)
                await checks(rng)
            done.set()

        async def checks(rng: random.Random) -> None:
            days = SiteDays.until((BEGIN + rng.random() * SPAN).date(), rng.choice((1, 7)))
            async with world.database.snapshot() as connection, connection.transaction():
                found = await figures.stats(connection, world.site_number, days)
                rows = await connection.fetch(STORED, world.site_number, days.first, days.last)
            assert found == plain_stats([WebRecord(*row) for row in rows], days)

        try:
            async with asyncio.TaskGroup() as group:
                for number in range(3):
                    group.create_task(writes(number))
                group.create_task(maintains())
        finally:
            done.set()
        while await web_rollup.settle_marks(world.connection):
            pass
        await checks(random.Random(seed))


async def test_a_line_waits_for_writers_that_go_by_the_old_one(migrated_url: str) -> None:
    async with made_world(migrated_url, "UTC") as world:
        await web_rollup.move_lines(world.connection, BEGIN)  # the site has a line
        writer: asyncpg.Connection[Any] = await asyncpg.connect(migrated_url, server_settings=SESSION)
        at = int(BEGIN.timestamp()) * 1_000_000
        record = WebRecord(world.site_number, at, 1, BEGIN.date(), UUID(int=1), "pageview", "/")
        transaction = writer.transaction()
        await transaction.start()
        await statements().write_web_records.rows(  # leaves no mark: the line has not passed its day
            writer, **columns_of([record]), per_site=1, per_address=1, most_names=1
        )
        moving = asyncio.create_task(web_rollup.move_lines(world.connection, NOW))
        watcher = await asyncpg.connect(migrated_url)
        while not await watcher.fetchval(
            "SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND NOT granted)"
        ):
            assert not moving.done(), "the line moved past a writer that leaves no mark"
        await transaction.commit()
        assert await moving == 1
        assert await watcher.fetchval("SELECT sum(visitors) FROM web_daily") == 1
        await writer.close()
        await watcher.close()
