"""Scenario `coldchain`: uncached analytics of 200 cooling units with 20,000 users over a month and a year.

The year of the demo is sent through the HTTP API, and each endpoint is queried over HTTP with the cache off. Then the
previous year is added, and the queries are repeated, because the cost of a response must not grow with the history.
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

import asyncpg
import orjson
from aiohttp import ClientSession, ClientTimeout
from tidemark.catalog import organizations, resources, tokens
from tidemark.demo import cold_storage
from tidemark.demo.player import PlayError
from tidemark.demo.storage_player import play_cold_storage
from tidemark.embedded.programs import Programs

from bench.report import Goal, Report, table
from bench.service import SQL, BenchError, Service, running_service, settle

ENDPOINTS = ("users", "utilization", "revenue", "impact")
WINDOWS = {
    "a month": ("06-01", "06-30", "month"),
    "30 days, by day": ("06-11", "07-10", "day"),
    "a year": ("01-01", "12-31", "month"),
    "a ragged year": ("01-10", "12-20", "month"),
    "a year by week": ("01-01", "12-31", "week"),
}
"""First day, last day and period."""
GOALS = {"a month": 50.0, "a year": 150.0}
GROWTH_GOAL = 1.5


@dataclass(frozen=True)
class Size:
    """How many cooling units to fill, and how often to repeat each query."""

    units: int
    rounds: int


FULL = Size(cold_storage.UNITS, 15)
QUICK = Size(10, 5)


@dataclass(frozen=True)
class Answered:
    """Milliseconds from request to response, with one year of history and with two."""

    endpoint: str
    window: str
    kilobytes: float
    one_year: float
    two_years: float


@dataclass(frozen=True)
class EngineResult:
    """All measurements of one engine."""

    engine: str
    postgres: int
    operations: int
    operations_a_second: float
    answered: list[Answered]


def run(engines: dict[str, Programs], *, quick: bool, say: Callable[[str], None]) -> Report:
    """Measure all engines. Raises BenchError if the service refuses a request."""
    size = QUICK if quick else FULL
    results = []
    for name, programs in engines.items():
        with running_service(programs, TIDEMARK_CACHE_SECONDS="0") as service:
            results.append(asyncio.run(_measure(service, name, programs, size, say)))
    return _report(results, size)


async def _measure(
    service: Service, engine: str, programs: Programs, size: Size, say: Callable[[str], None]
) -> EngineResult:
    connection = await asyncpg.connect(service.server.url)
    try:
        token = await _prepare(connection, service, size)
        headers = {"Authorization": f"Bearer {token}"}
        base = f"http://127.0.0.1:{service.port}"
        async with ClientSession(headers=headers, timeout=ClientTimeout(total=300)) as session:
            numbers = range(1, size.units + 1)
            say(f"{engine}: a year of operations")
            began = time.monotonic()
            try:
                stored = await play_cold_storage(session, base, map(cold_storage.operations, numbers))
                seconds = time.monotonic() - began
                await _tidy(service, connection)
                one_year = await _ask_all(session, base, size, say)
                say(f"{engine}: the previous year")
                before = (cold_storage.operations(one, cold_storage.YEAR - 1, new_users=False) for one in numbers)
                await play_cold_storage(session, base, before)
            except PlayError as error:
                raise BenchError(str(error)) from None
            await _tidy(service, connection)
            two_years = await _ask_all(session, base, size, say)
    finally:
        await connection.close()
    answered = [
        Answered(*question, kilobytes, milliseconds, two_years[question][1])
        for question, (kilobytes, milliseconds) in one_year.items()
    ]
    return EngineResult(engine, programs.major, stored, stored / seconds, answered)


async def _tidy(service: Service, connection: "asyncpg.Connection[Any]") -> None:
    await SQL.tidy.run(connection)
    await settle(service)


async def _prepare(connection: "asyncpg.Connection[Any]", service: Service, size: Size) -> str:
    """Create the cooling units and return a token with all scopes."""
    organization = await organizations.find(connection, service.credentials.organization_id)
    company_id = organization["company_id"]
    await organizations.update(connection, company_id, cold_storage.ORGANIZATION)
    for number, name in enumerate(cold_storage.LOCATIONS, 1):
        await resources.create(connection, resources.LOCATIONS, company_id, {"id": number, "name": name})
    for number in range(1, size.units + 1):
        await resources.create(connection, resources.COOLING_UNITS, company_id, cold_storage.unit(number))
    made = await tokens.create(connection, company_id, {"name": "Bench", "scopes": ["admin"], "rate_limit": 10**6})
    return str(made["token"])


async def _ask_all(
    session: ClientSession, base: str, size: Size, say: Callable[[str], None]
) -> dict[tuple[str, str], tuple[float, float]]:
    """Response size in kB and median milliseconds for each endpoint and window."""
    found = {}
    for endpoint in ENDPOINTS:
        for window, (first, last, period) in WINDOWS.items():
            asked = {
                "start_date": f"{cold_storage.YEAR}-{first}",
                "end_date": f"{cold_storage.YEAR}-{last}",
                "period": period,
                "page_size": str(size.units),
            }
            times = []
            for _ in range(size.rounds + 1):
                began = time.perf_counter()
                async with session.get(f"{base}/api/v1/analytics/{endpoint}", params=asked) as response:
                    body = await response.read()
                times.append((time.perf_counter() - began) * 1000)
                if response.status != 200 or len(orjson.loads(body)["data"]) != size.units:
                    raise BenchError(f"{endpoint}: {response.status} {body[:200].decode()}")
            found[endpoint, window] = len(body) / 1000, median(times[1:])
            say(f"{endpoint}, {window}: {found[endpoint, window][1]:.1f} ms")
    return found


def _report(results: list[EngineResult], size: Size) -> Report:
    report = Report("coldchain")
    for result in results:
        rows = [
            [
                f"{one.endpoint}, {one.window}",
                f"{one.kilobytes:,.0f}",
                f"{one.one_year:.1f}",
                f"{one.two_years:.1f}",
            ]
            for one in result.answered
        ]
        title = (
            f"{result.engine} (PostgreSQL {result.postgres}): {result.operations:,} operations per year, stored at "
            f"{result.operations_a_second:,.0f} per second; milliseconds over HTTP, uncached"
        )
        report.tables.append(table(title, ("question", "kB", "a year stored", "two years stored"), rows))
        if size is FULL:
            report.goals += _goals(result)
    report.notes = [
        f"All {size.units} cooling units in one response; medians of {size.rounds} requests, one at a time.",
        "Service, database and client share the machine.",
    ]
    if size is QUICK:
        report.notes.append("The goals are for 200 cooling units and are not checked in a quick run.")
    report.measured = {"size": asdict(size), "engines": [asdict(result) for result in results]}
    return report


def _goals(result: EngineResult) -> list[Goal]:
    goals = []
    for window, bound in GOALS.items():
        slowest = max((one for one in result.answered if one.window == window), key=lambda one: one.one_year)
        goals.append(Goal(result.engine, f"{window}, {slowest.endpoint}", slowest.one_year, False, bound, " ms"))
    years = [one for one in result.answered if one.window == "a year"]
    growth = max(one.two_years / one.one_year for one in years)
    goals.append(Goal(result.engine, "a year with two stored, relative to one", growth, False, GROWTH_GOAL))
    return goals
