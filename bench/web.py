"""Scenario `web`: pages send to the collector, and 90 days of a site with a million page views are queried.

The load on the collector comes from keep-alive connections that each send a page view as soon as the previous one is
answered. Acknowledged records must be stored. The five endpoints are then queried over HTTP with the cache off.
"""

import asyncio
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import TYPE_CHECKING

import asyncpg
import numpy as np
import orjson
from aiohttp import ClientSession
from tidemark.catalog import resources, tokens
from tidemark.embedded.programs import Programs

from bench.gateways import Gateway
from bench.report import Goal, Report, table
from bench.service import SQL, BenchError, Service, running_service

if TYPE_CHECKING:
    from tidemark.database.database import Connected

CONNECTIONS = 64
ANSWER_GOAL = 100.0
"""Milliseconds."""
RATE_GOAL = 2000.0
"""Records per second; the requirement is "thousands"."""
USER_AGENTS = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36",
    "Mozilla/5.0 (X11; Linux x86_64; rv:133.0) Gecko/20100101 Firefox/133.0",
)
UNLIMITED = {"TIDEMARK_COLLECT_PER_MINUTE": "1000000000", "TIDEMARK_COLLECT_PER_ADDRESS": "1000000000"}
"""Limits that do not bind: all page views come from one address and belong to one site."""
ENDPOINTS = {
    "sites": "sites",
    "stats": "sites/{}/stats?range=90d",
    "realtime": "sites/{}/realtime",
    "events": "sites/{}/events?range=90d",
    "pageviews": "sites/{}/pageviews?range=90d",
    "pageviews of one page": "sites/{}/pageviews?range=90d&pathname=/page-0",
}


@dataclass(frozen=True)
class Size:
    """How much to store and query, and for how many seconds to send."""

    records: int
    pages: int
    repeats: int
    seconds: float


FULL = Size(1_053_000, 5000, 50, 15.0)  # one in twenty is an event
QUICK = Size(50_000, 100, 10, 3.0)


@dataclass(frozen=True)
class Collected:
    """What the collector accepted; latencies in milliseconds."""

    rate: float
    p50: float
    p99: float
    worst: float


@dataclass(frozen=True)
class Answered:
    """Milliseconds from the request to the complete response."""

    endpoint: str
    median: float
    p95: float
    worst: float


@dataclass(frozen=True)
class EngineResult:
    """All measurements of one engine."""

    engine: str
    postgres: int
    roll_up_seconds: float
    collected: Collected
    answered: list[Answered]


def run(engines: dict[str, Programs], *, quick: bool, say: Callable[[str], None]) -> Report:
    """Measure all engines. Raises BenchError if an acknowledged record is missing or figures are wrong."""
    size = QUICK if quick else FULL
    results = []
    for name, programs in engines.items():
        with running_service(programs, TIDEMARK_CACHE_SECONDS="0", **UNLIMITED) as service:
            results.append(asyncio.run(_measure(service, name, programs, size, say)))
    return _report(results, size)


async def _measure(
    service: Service, engine: str, programs: Programs, size: Size, say: Callable[[str], None]
) -> EngineResult:
    connection = await asyncpg.connect(service.server.url)
    try:
        company = await SQL.company_of.value(connection, organization_id=service.credentials.organization_id)
        # The site's day is almost over, so as much as possible has to be read from records.
        offset = (22 - datetime.now(UTC).hour + 12) % 24 - 12
        zone = f"Etc/GMT{-offset:+d}"
        site = await _site(connection, company, zone)
        document = {"name": "bench", "scopes": ["sites"], "rate_limit": 1_000_000}
        token = (await tokens.create(connection, company, document))["token"]
        say(f"{engine}: storing {size.records:,} records")
        number = await SQL.site_number_of.value(connection, site_id=site)
        roll_up_seconds = await _store(connection, number, offset, size)
        answered = [await _ask(service, token, site, name, path, size) for name, path in ENDPOINTS.items()]
        say(f"{engine}: collecting for {size.seconds:g} seconds")
        fresh = await _site(connection, company, "UTC")
        collected = await _collect(service, connection, fresh, size.seconds)
    finally:
        await connection.close()
    return EngineResult(engine, programs.major, roll_up_seconds, collected, answered)


async def _site(connection: "Connected", company: int, zone: str) -> str:
    made = await resources.create(connection, resources.SITES, company, {"domain": "bench.test", "timezone": zone})
    return str(made["siteId"])


async def _store(connection: "Connected", number: int, offset: int, size: Size) -> float:
    """Store the records of 90 days; returns how many seconds the service's job took to roll them up."""
    now = datetime.now(UTC)
    local = now + timedelta(hours=offset)
    start = now - (local - local.replace(hour=0, minute=0, second=0, microsecond=0)) - timedelta(days=89)
    while not (await _to_roll_up(connection, number))["lines"]:
        await asyncio.sleep(0.1)
    async with connection.transaction():
        await SQL.store_visits.run(
            connection,
            site_number=number,
            start=start,
            finish=now,
            records=size.records,
            offset_hours=offset,
            pages=size.pages,
        )
        await SQL.mark_visits.run(connection)
    began = time.perf_counter()
    while (await _to_roll_up(connection, number))["marks"]:
        await asyncio.sleep(0.05)
    seconds = time.perf_counter() - began
    await SQL.tidy.run(connection)
    return seconds


async def _to_roll_up(connection: "Connected", number: int) -> dict[str, int]:
    row = await SQL.visits_to_roll_up.row(connection, site_number=number)
    assert row is not None  # a SELECT without FROM has one row
    return dict(row)


async def _ask(service: Service, token: str, site: str, name: str, path: str, size: Size) -> Answered:
    url = f"http://127.0.0.1:{service.port}/api/v2/{path.format(site)}"
    taken = []
    async with ClientSession(headers={"Authorization": f"Bearer {token}"}) as session:
        for _ in range(size.repeats + 3):
            began = time.perf_counter()
            async with session.get(url) as response:
                answer = orjson.loads(await response.read())
            taken.append((time.perf_counter() - began) * 1000)
            if response.status != 200:
                raise BenchError(f"{url} answered {response.status}: {answer}")
    if name == "pageviews" and answer["total"] != sum(n % 20 != 7 for n in range(size.records)):
        raise BenchError(f"There are {answer['total']} page views, which is wrong.")
    measured = taken[3:]  # the first ones open connections
    return Answered(name, *np.percentile(measured, (50, 95, 100)).round(2).tolist())


async def _collect(service: Service, connection: "Connected", site: str, seconds: float) -> Collected:
    await _play(service.port, site, 1.0)
    number = await SQL.site_number_of.value(connection, site_id=site)
    before = await SQL.count_records.value(connection, site_number=number)
    taken, gateways = await _play(service.port, site, seconds)
    milliseconds = [one for gateway in gateways for one in gateway.milliseconds]
    if any(gateway.refused or gateway.broken for gateway in gateways):
        raise BenchError("The collector refused records, or connections broke.")
    stored = await SQL.count_records.value(connection, site_number=number) - before
    if stored != len(milliseconds):
        raise BenchError(f"{len(milliseconds)} records were acknowledged, {stored} are stored.")
    return Collected(len(milliseconds) / taken, *np.percentile(milliseconds, (50, 99, 100)).round(2).tolist())


async def _play(port: int, site: str, seconds: float) -> tuple[float, list[Gateway]]:
    loop = asyncio.get_running_loop()
    sendings = _page_views(site)
    began = time.perf_counter()

    def gateway() -> Gateway:
        return Gateway(sendings, deadline=began + seconds, status=b"204")

    gateways = [(await loop.create_connection(gateway, "127.0.0.1", port))[1] for _ in range(CONNECTIONS)]
    await asyncio.wait([gateway.ended for gateway in gateways])
    return time.perf_counter() - began, gateways


def _page_views(site: str) -> Iterator[bytes]:
    for number in count():
        body = (
            f'{{"site":"{site}","type":"pageview","url":"https://bench.test/page-{number % 500}?n={number}",'
            f'"referrer":"https://www.site-{number % 100}.example/"}}'
        )
        yield (
            f"POST /api/v2/collect HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: text/plain;charset=UTF-8\r\n"
            f"Origin: https://bench.test\r\nUser-Agent: {USER_AGENTS[number % 2]} {number % 1000}\r\n"
            f"Content-Length: {len(body)}\r\n\r\n{body}"
        ).encode()


def _report(results: list[EngineResult], size: Size) -> Report:
    report = Report("web")
    for result in results:
        title = (
            f"{result.engine} (PostgreSQL {result.postgres}): rolled up in {result.roll_up_seconds:.1f} s; milliseconds"
        )
        rows = [[one.endpoint, f"{one.median:.1f}", f"{one.p95:.1f}", f"{one.worst:.1f}"] for one in result.answered]
        report.tables.append(table(title, ("endpoint", "median", "p95", "worst"), rows))
        taken = result.collected
        row = [f"{taken.rate:,.0f}", f"{taken.p50:.1f}", f"{taken.p99:.1f}", f"{taken.worst:.1f}"]
        title = f"{result.engine}: collector, {CONNECTIONS} connections"
        report.tables.append(table(title, ("", "records/s", "p50 ms", "p99 ms", "worst ms"), [["page views", *row]]))
        if size is FULL:
            report.goals += [
                Goal(result.engine, f"{one.endpoint}, 90 days, p95", one.p95, False, ANSWER_GOAL, " ms")
                for one in result.answered
            ]
            report.goals.append(
                Goal(result.engine, "records collected, each after its commit", taken.rate, True, RATE_GOAL, "/s")
            )
    report.notes = [
        f"{size.records:,} records from 90 days, one in twenty an event, on {size.pages} pages; the cache is off.",
        "The site's day is almost over, so the records of a whole day are read in addition to the roll-ups.",
        "The collector's limits are raised, because all page views come from one address.",
        "All acknowledged records are stored, and page views are counted correctly.",
    ]
    report.measured = {"size": asdict(size), "engines": [asdict(result) for result in results]}
    return report
