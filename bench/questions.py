"""How long queries take that read store and log together: nothing unsettled, then a full log that nobody settles."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from statistics import median

import asyncpg
from tidemark.base.time import DAY, HOUR, Window, floor, microseconds
from tidemark.database.database import Database
from tidemark.database.statements import statements
from tidemark.readings.settling.turn import store_held
from tidemark.readings.statistics import StatisticsQuery

from bench.bodies import CSV, Rows, rows_from
from bench.requests import SENSORS, sensor_id
from bench.senders import Sender
from bench.service import SQL, BenchError, Service, settle
from bench.settled import CONNECTIONS, LIVE_STEP, SERIES, LiveTimes
from bench.statistics import describe

LENGTHS = (2 * HOUR, 2 * DAY, 90 * DAY, 360 * DAY)
UNSETTLED = 250_000
STEP = HOUR // 2
"""Microseconds between two stored readings of a sensor."""
SHIFT = 7_000_001
"""Microseconds between the starts of two windows, so that each has other edges."""


@dataclass(frozen=True)
class Times:
    """Medians in milliseconds of how long the service waits: for statistics by length of the window, and latest."""

    one: dict[str, float]
    """Of one series."""
    hundred: dict[str, float]
    """Of the hundred sensors of an asset."""
    latest: float
    """The latest reading of a thousand sensors."""


def measure(service: Service, days: int, repeats: int, say: Callable[[str], None]) -> tuple[Times, Times]:
    """Times with nothing unsettled, and with a quarter of a million unsettled readings. Raises BenchError.

    The service, which has `SERIES` sensors, gets a history of so many days, of a hundred of them.
    """
    finish = floor(microseconds(datetime.now(UTC)), HOUR)
    _store(service, rows_from(finish - days * DAY, days * DAY // STEP * SENSORS, STEP))
    say("waiting until the history is settled")
    asyncio.run(settle(service))
    return asyncio.run(_measure(service, days, repeats))


def _store(service: Service, rows: Rows) -> None:
    requests = [CSV.request(part, service.credentials) for part in rows.requests()]
    sent = Sender(service.port, requests, connections=CONNECTIONS, status=CSV.status).send()
    if sent.refused or sent.broken:
        raise BenchError(f"{sent.refused} requests were refused, {sent.broken} connections broke.")


async def _measure(service: Service, days: int, repeats: int) -> tuple[Times, Times]:
    database = Database(service.server.url)
    await database.open()
    database.ready.set()
    holder = await asyncpg.connect(service.server.url)
    try:
        settled = await _times(database, service, days, repeats)
        async with store_held(holder):
            rows = LiveTimes().rows(UNSETTLED)
            await asyncio.to_thread(_store, service, rows)
            return settled, await _times(database, service, days, repeats)
    finally:
        await holder.close()
        await database.close()


async def _times(database: Database, service: Service, days: int, repeats: int) -> Times:
    series = [await _series(database, number) for number in range(SENSORS)]
    lengths = [length for length in LENGTHS if length <= days * DAY]
    return Times(
        {describe(length): await _statistics(database, series[17:18], length, repeats) for length in lengths},
        {describe(length): await _statistics(database, series, length, repeats) for length in lengths},
        await _latest(database, service, repeats),
    )


async def _series(database: Database, number: int) -> int:
    async with database.snapshot() as connection:
        return int(await SQL.series_of_sensor.value(connection, sensor_id=sensor_id(number)))


async def _statistics(database: Database, series: list[int], length: int, repeats: int) -> float:
    """Of windows up to now, which contain whatever is unsettled."""
    query = StatisticsQuery(database)
    now = microseconds(datetime.now(UTC)) + 2 * UNSETTLED // SERIES * LIVE_STEP
    milliseconds = []
    for number in range(repeats + 1):
        start = now - length + number * SHIFT
        began = time.perf_counter()
        await query.of(series, Window(start, now))
        milliseconds.append((time.perf_counter() - began) * 1000)
    return median(milliseconds[1:])  # the first one fills caches


async def _latest(database: Database, service: Service, repeats: int) -> float:
    milliseconds = []
    async with database.snapshot() as connection:
        company_id = await SQL.company_of.value(connection, organization_id=service.credentials.organization_id)
        for _ in range(repeats + 1):
            began = time.perf_counter()
            rows = await statements().latest_of_sensors.rows(
                connection, company_id=company_id, ids=None, asset_id=None, seen=None, max_rows=SERIES, skip=0
            )
            milliseconds.append((time.perf_counter() - began) * 1000)
    if len(rows) != SERIES:
        raise BenchError(f"There are {len(rows)} sensors instead of {SERIES}.")
    return median(milliseconds[1:])
