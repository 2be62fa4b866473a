"""What a load costs until it is settled: it counts as done when the log is no longer than it was before it.

An acknowledged reading is durable, but lies in the log until it is settled. A rate that leaves the log longer than
before could not last, so the time until it has shrunk again counts, and so does everything that was used in it.
"""

import asyncio
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import asyncpg
import numpy as np
from tidemark.base.time import floor, instant, microseconds
from tidemark.readings.settling.settler import worth_settling

from bench.bodies import LINE_PROTOCOL, READINGS, Rows, rows_from, weather_from
from bench.processor import machine_seconds, own_seconds, process_seconds
from bench.senders import Sender, Sent
from bench.service import SETTLE_SECONDS, SQL, BenchError, Service

CONNECTIONS = 4
SERIES = 1_000
LIVE_STEP = 1_000
"""Microseconds between two readings of a series: a million readings of a thousand series each second."""
POLL_SECONDS = 0.02


@dataclass(frozen=True)
class Settled:
    """A load, and what it used until the log was no longer than before."""

    readings: int
    sent: Sent
    seconds: float
    """Seconds from the first byte until the log was no longer than before."""
    service_seconds: float
    """Processor time of the process that serves, in seconds; then that of the one that settles, and of PostgreSQL."""
    maintenance_seconds: float
    postgres_seconds: float
    others_busy: float
    """Average number of processors kept busy by other work on the machine."""
    wal_bytes: float
    """What was added to PostgreSQL's write-ahead log."""

    @property
    def rate(self) -> float:
        """Readings per second."""
        return self.readings / self.seconds

    @property
    def processor_microseconds(self) -> float:
        """Processor time per reading of all processes together."""
        return (self.service_seconds + self.maintenance_seconds + self.postgres_seconds) / self.readings * 1e6


class LiveTimes:
    """Hands out stretches of time: each begins now or where the last one ended, so that loads share no instant."""

    def __init__(self) -> None:
        self._free = 0

    def rows(self, count: int, series: int = SERIES) -> Rows:
        """Readings that begin now."""
        return rows_from(self.take(count, series), count, LIVE_STEP, series)

    def weather(self, count: int, series: int = SERIES) -> Rows:
        """The same with values such as a thermometer has."""
        return weather_from(self.take(count, series), count, LIVE_STEP, series)

    def filling(self, series: int = SERIES) -> Rows:
        """As many as wait for others in the log: with them in it, only what is more has to be settled."""
        return self.rows(worth_settling(series) - READINGS, series)

    def take(self, count: int, series: int = SERIES, step: int = LIVE_STEP) -> int:
        """Where a stretch begins that has room for so many readings, in microseconds since 1970 UTC."""
        start = max(self._free, floor(microseconds(datetime.now(UTC)), step))
        self._free = start + -(-count // series) * step
        return start


def send_settled(service: Service, filling: Rows, requests: list[bytes], readings: int, **how: Any) -> Settled:
    """Send requests and wait until the log is no longer than before; `how` is for `Sender`. Raises BenchError.

    As many readings of `filling` as the log lacks are sent before that. They are older than those of the requests,
    which would otherwise come late once the others are settled.
    """
    sender = Sender(service.port, requests, **how)
    _fill_log(service, filling)
    before, began = _clocks(service), time.perf_counter()
    length = asyncio.run(log_length(service))
    sent = sender.send()
    seconds = sent.seconds
    if asyncio.run(_shrunk(service, length)):
        seconds = time.perf_counter() - began
    if sent.refused or sent.broken:
        raise BenchError(f"{sent.refused} requests were refused, {sent.broken} connections broke.")
    own, all_of_it, postgres, machine, wal = (_clocks(service) - before).tolist()
    others = max(0.0, machine - all_of_it - postgres - sent.sender_seconds) / seconds
    return Settled(readings, sent, seconds, own, all_of_it - own, postgres, others, wal)


def _fill_log(service: Service, filling: Rows) -> None:
    missing = max(0, len(filling) - asyncio.run(log_length(service))) // READINGS * READINGS
    requests = [LINE_PROTOCOL.request(part, service.credentials) for part in filling.part(slice(missing)).requests()]
    Sender(service.port, requests, connections=CONNECTIONS, status=LINE_PROTOCOL.status).send()


async def log_length(service: Service) -> int:
    """How many readings the log has."""
    connection = await asyncpg.connect(service.server.url)
    try:
        return int(await SQL.unsettled_readings.value(connection))
    finally:
        await connection.close()


async def _shrunk(service: Service, length: int) -> bool:
    """Wait until the log is no longer than this; return whether that took any time. Raises BenchError."""
    deadline = time.monotonic() + SETTLE_SECONDS
    connection = await asyncpg.connect(service.server.url)
    try:
        waited = False
        while await SQL.unsettled_readings.value(connection) > length:
            waited = True
            if time.monotonic() > deadline:
                raise BenchError(f"The log is still longer than before {SETTLE_SECONDS} s after the load.")
            await asyncio.sleep(POLL_SECONDS)
        return waited
    finally:
        await connection.close()


@dataclass(frozen=True)
class Usage:
    """Bytes: how far PostgreSQL's write-ahead log has come, the database without the log of readings, and that log."""

    wal: int
    size: int
    log_size: int


async def usage(service: Service) -> Usage:
    """What the database has used so far."""
    connection = await asyncpg.connect(service.server.url)
    try:
        row = await SQL.usage.row(connection)
    finally:
        await connection.close()
    assert row is not None  # a SELECT without FROM has one row
    return Usage(int(row["wal"]), row["size"], row["log_size"])


def _clocks(service: Service) -> Any:
    return np.array(
        [
            own_seconds(service.pid),
            process_seconds(service.pid),
            process_seconds(service.postgres_pid),
            machine_seconds(),
            asyncio.run(usage(service)).wal,
        ]
    )


def check_stored(service: Service, rows: Rows) -> None:
    """Raises BenchError unless exactly these readings are stored in the time that they cover."""
    stored, value_sum = asyncio.run(stored_between(service, int(rows.at.min()), int(rows.at.max()) + 1))
    if stored != len(rows) or abs(value_sum - rows.value.sum()) > 1e-9 * abs(rows.value).sum():
        raise BenchError(f"{len(rows):,} readings were acknowledged, but {stored:,} are stored (sum {value_sum}).")


async def stored_between(service: Service, start: int, finish: int) -> tuple[int, float]:
    """How many readings are stored with start ≤ at < finish, and their sum; microseconds since 1970 UTC."""
    connection = await asyncpg.connect(service.server.url)
    try:
        row = await SQL.stored_between.row(connection, start=instant(start), finish=instant(finish))
    finally:
        await connection.close()
    assert row is not None  # an aggregate has one row
    return row["stored"], row["value_sum"]
