"""Scenario `bulk`: collectors post thousands of readings at a time in each format over a few connections.

Immediately before each run, as many rows of the same shape are stored with raw binary COPY in the same table, as the
reference. After each run, the stored readings must be exactly those acknowledged; otherwise there is no result.
"""

import asyncio
import http.client
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from statistics import median
from typing import Any

import asyncpg
import numpy as np
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from tidemark.base.time import DAY, floor, microseconds
from tidemark.embedded.programs import Programs
from tidemark.readings.columns import Block

from bench import databases
from bench.bodies import (
    CSV,
    FORMATS,
    JSON,
    LINE_PROTOCOL,
    NDJSON,
    READINGS,
    Format,
    Rows,
    placed_ndjson,
    rows_from,
)
from bench.copying import copy_rate
from bench.processor import machine_seconds, own_memory, process_seconds, resident_memory
from bench.report import QUIET, TICKS, Goal, Report, rounds, table
from bench.requests import SENSORS, Credentials, sensor_id
from bench.senders import Sender, Sent
from bench.service import SQL, BenchError, Service, running_service
from bench.settled import check_stored, stored_between

CONNECTIONS = 4
ROWS_A_COPY = CONNECTIONS * READINGS
"""Rows per commit of the raw COPY: as many as all connections have in flight."""
LIVE_STEP = 1_000
LATE_STEP = 1_000_000
"""Microseconds between two readings of a sensor."""
STORED_BEFORE = 5
"""One out of this many late readings of each sensor is already stored."""
LATE = "NDJSON, late"
GOALS = {LINE_PROTOCOL.name: 0.8, NDJSON.name: 0.8, CSV.name: 0.8, JSON.name: 0.7, LATE: 0.4}
GROWTH_GOAL = 64.0
"""MiB."""


NOBODY = Credentials("-", "-")
"""Credentials for the other databases, which ignore them."""


@dataclass(frozen=True)
class Plan:
    """How much to measure."""

    rounds: int = 3
    requests: int = 120
    warm_up: int = 16
    stream_bytes: int = 10**9


FULL = Plan()
QUICK = Plan(rounds=1, requests=16, warm_up=4, stream_bytes=3 * 10**7)


@dataclass(frozen=True)
class Run:
    """One run in one format, and the COPY immediately before it."""

    readings: int
    sent: Sent
    copy_rows_a_second: float
    server_seconds: float
    """Processor time of the service, in seconds."""
    postgres_seconds: float
    others_busy: float
    """Average number of processors kept busy by other work on the machine."""

    @property
    def rate(self) -> float:
        """Readings per second."""
        return self.readings / self.sent.seconds

    @property
    def ratio(self) -> float:
        """The rate relative to that of the COPY."""
        return self.rate / self.copy_rows_a_second


@dataclass(frozen=True)
class Stream:
    """One upload to a newly started service, and its worker's memory in bytes."""

    sent_bytes: int
    readings: int
    seconds: float
    own_before: int
    own_peak: int
    resident_before: int
    resident_peak: int

    @property
    def growth(self) -> float:
        """Growth of resident memory in MiB."""
        return (self.resident_peak - self.resident_before) / 2**20


@dataclass(frozen=True)
class EngineResult:
    """All measurements of one engine."""

    engine: str
    postgres: int
    runs: dict[str, list[Run]]
    stream: Stream

    def ratio(self, name: str) -> float:
        """The median of the runs' rates relative to COPY."""
        return median(run.ratio for run in self.runs[name])


def run(engines: dict[str, Programs], *, quick: bool, say: Callable[[str], None]) -> Report:
    """Measure all engines. Raises BenchError if the stored readings are not those acknowledged."""
    plan = QUICK if quick else FULL
    say(f"{CONNECTIONS} connections, {READINGS:,} readings per request, {SENSORS} sensors")
    results = [_measure(name, programs, plan, say) for name, programs in engines.items()]
    others = {rival: [_send_to(rival, plan, say) for _ in range(plan.rounds)] for rival in databases.installed()}
    return _report(results, others, plan)


def _measure(engine: str, programs: Programs, plan: Plan, say: Callable[[str], None]) -> EngineResult:
    runs: dict[str, list[Run]] = {}
    with running_service(programs) as service:
        series = asyncio.run(_series(service))
        live, late = _times(plan, LIVE_STEP, _now()), _times(plan, LATE_STEP, floor(_now(), DAY) - 20 * DAY)
        say(f"{engine}: warming up, {plan.warm_up} requests of each format")
        for form in FORMATS:
            _run(service, form, rows_from(next(live), plan.warm_up * READINGS, LIVE_STEP), series, next(live))
        for number in range(1, plan.rounds + 1):
            for form in FORMATS:
                rows = rows_from(next(live), plan.requests * READINGS, LIVE_STEP)
                runs.setdefault(form.name, []).append(_run(service, form, rows, series, next(live)))
            rows = rows_from(next(late), plan.requests * READINGS, LATE_STEP)
            _store_some(service, rows)
            runs.setdefault(LATE, []).append(_run(service, NDJSON, rows, series, next(live)))
            parts = ", ".join(f"{name} {own[-1].ratio:.2f}" for name, own in runs.items())
            say(f"{engine}: round {number} of {plan.rounds}: relative to COPY: {parts}")
    say(f"{engine}: one upload of {plan.stream_bytes / 1e6:,.0f} MB")
    with running_service(programs) as service:
        stream = _stream(service, plan.stream_bytes)
    return EngineResult(engine, programs.major, runs, stream)


def _now() -> int:
    return microseconds(datetime.now(UTC))


def _times(plan: Plan, step: int, start: int) -> Iterator[int]:
    """Start times for the runs, in whole milliseconds or seconds, so that no two runs share an instant."""
    start = floor(start, step)
    length = plan.requests * READINGS // SENSORS * step
    while True:
        yield start
        start += length


def _run(service: Service, form: Format, rows: Rows, series: "dict[int, int]", copy_start: int) -> Run:
    """COPY as many rows, then send the readings. Raises BenchError if the wrong number is stored."""
    sender = Sender(
        service.port,
        [form.request(part, service.credentials) for part in rows.requests()],
        connections=CONNECTIONS,
        status=form.status,
    )
    copied = asyncio.run(_copy(service, rows_from(copy_start, len(rows), LIVE_STEP), series))
    before = _clocks(service)
    sent = sender.send()
    server_seconds, postgres_seconds, machine = (_clocks(service) - before).tolist()
    if sent.refused or sent.broken:
        raise BenchError(f"{form.name}: {sent.refused} requests were refused, {sent.broken} connections broke.")
    check_stored(service, rows)
    others = machine - server_seconds - postgres_seconds - sent.sender_seconds
    return Run(len(rows), sent, copied, server_seconds, postgres_seconds, others_busy=max(0.0, others / sent.seconds))


def _clocks(service: Service) -> Any:
    return np.array([process_seconds(service.pid), process_seconds(service.postgres_pid), machine_seconds()])


async def _series(service: Service) -> "dict[int, int]":
    """Look up the series of the harness's sensors."""
    connection = await asyncpg.connect(service.server.url)
    try:
        return {
            number: await SQL.series_of_sensor.value(connection, sensor_id=sensor_id(number))
            for number in range(SENSORS)
        }
    finally:
        await connection.close()


async def _copy(service: Service, rows: Rows, series: "dict[int, int]") -> float:
    """Measure how many rows per second one connection copies into a plain table."""
    ids = np.array([series[number] for number in range(SENSORS)], dtype=np.int32)
    parts = (rows.part(slice(first, first + ROWS_A_COPY)) for first in range(0, len(rows), ROWS_A_COPY))
    blocks = (Block(series_id=ids[part.sensor], at=part.at, value=part.value) for part in parts)
    return await copy_rate(service.server.url, blocks)


def _store_some(service: Service, rows: Rows) -> None:
    """Store every fifth reading of each sensor, as if a bad connection had let only those through."""
    some = rows.part(np.arange(len(rows)) // SENSORS % STORED_BEFORE == 0)
    requests = [NDJSON.request(part, service.credentials) for part in some.requests()]
    Sender(service.port, requests, connections=CONNECTIONS, status=NDJSON.status).send()
    check_stored(service, some)


def _stream(service: Service, size: int) -> Stream:
    """Send one NDJSON upload of the given size in chunks while sampling the worker's memory."""
    start = _now() // LIVE_STEP * LIVE_STEP
    rows_a_piece = 20_000
    answered: list[dict[str, Any]] = []
    counts = {"bytes": 0, "readings": 0}

    def pieces() -> Iterator[bytes]:
        while counts["bytes"] < size:
            first = start + counts["readings"] // SENSORS * LIVE_STEP
            piece = placed_ndjson(rows_from(first, rows_a_piece, LIVE_STEP))
            counts["bytes"] += len(piece)
            counts["readings"] += rows_a_piece
            yield piece

    def upload() -> None:
        connection = http.client.HTTPConnection("127.0.0.1", service.port)
        headers = {
            "Content-Type": NDJSON.content_type,
            "ORGANIZATION-ID": service.credentials.organization_id,
            "ORGANIZATION-API-KEY": service.credentials.api_key,
        }
        connection.request("POST", NDJSON.path, body=pieces(), headers=headers, encode_chunked=True)
        response = connection.getresponse()
        answered.append({"status": response.status, "body": response.read()})
        connection.close()

    own_before, resident_before = own_memory(service.pid), resident_memory(service.pid)
    own_peak, resident_peak = own_before, resident_before
    began = time.perf_counter()
    thread = threading.Thread(target=upload)
    thread.start()
    while thread.is_alive():
        own_peak = max(own_peak, own_memory(service.pid))
        resident_peak = max(resident_peak, resident_memory(service.pid))
        thread.join(0.1)
    seconds = time.perf_counter() - began
    if not answered or answered[0]["status"] != NDJSON.status:
        raise BenchError(f"The upload of {size} bytes was not stored: {answered}")
    stored, _ = asyncio.run(stored_between(service, start, start + counts["readings"] // SENSORS * LIVE_STEP))
    if stored != counts["readings"]:
        raise BenchError(f"{counts['readings']:,} readings were acknowledged, but {stored:,} are stored.")
    return Stream(counts["bytes"], counts["readings"], seconds, own_before, own_peak, resident_before, resident_peak)


def _send_to(rival: databases.Rival, plan: Plan, say: Callable[[str], None]) -> float:
    """Measure how many readings per second another database accepts from the same bodies."""
    say(f"{rival.name}: line protocol")
    live = _times(plan, LIVE_STEP, _now())
    with databases.running_rival(rival) as running:
        for count in (plan.warm_up, plan.requests):
            requests = [
                LINE_PROTOCOL.request(part, NOBODY)
                for part in rows_from(next(live), count * READINGS, LIVE_STEP).requests()
            ]
            sent = Sender(running.port, requests, connections=CONNECTIONS, status=LINE_PROTOCOL.status).send()
            if sent.refused or sent.broken:
                raise BenchError(f"{rival.name}: {sent.refused} requests refused, {sent.broken} connections broke.")
    return plan.requests * READINGS / sent.seconds


def _report(results: list[EngineResult], others: dict[databases.Rival, list[float]], plan: Plan) -> Report:
    report = Report("bulk")
    for result in results:
        report.tables += [_rate_table(result, others, plan), _stream_table(result)]
        report.goals += [
            Goal(result.engine, f"{name}, readings/s relative to raw COPY", result.ratio(name), True, bound)
            for name, bound in GOALS.items()
        ]
        report.goals.append(
            Goal(result.engine, "memory growth in one large upload", result.stream.growth, False, GROWTH_GOAL, " MiB")
        )
    runs = [run for result in results for own in result.runs.values() for run in own]
    sender_busy = max(run.sent.sender_seconds / run.sent.seconds for run in runs)
    report.notes = [
        f"Medians of {rounds(plan.rounds)} of {plan.requests * READINGS:,} readings; lowest and highest in brackets.",
        f"{READINGS:,} readings per request, {CONNECTIONS} keep-alive connections, one worker.",
        "Of COPY: relative to the raw COPY of as many rows immediately before.",
        f"The sender kept {sender_busy:.2f} processors busy at most.",
        f"Late: two weeks old and older, {100 // STORED_BEFORE} % of them already stored.",
        "After each run, the database contained exactly the acknowledged readings.",
    ]
    if (others_busy := median(run.others_busy for run in runs)) > QUIET:
        report.notes.append(
            f"Other work kept {others_busy:.1f} processors busy (median), so the ratios are unreliable. "
            "Measure again on a quiet machine."
        )
    report.measured = {
        "plan": asdict(plan),
        "engines": [_document(result) for result in results],
        "others": [
            {"name": rival.name, "acknowledges": rival.acknowledges, "readings_a_second": rates}
            for rival, rates in others.items()
        ],
    }
    report.figure = _plot(results, others)
    return report


def _document(result: EngineResult) -> dict[str, Any]:
    document = asdict(result)
    for name, runs in result.runs.items():
        for run, made in zip(runs, document["runs"][name], strict=True):
            made |= {"readings_a_second": run.rate, "part_of_copy": run.ratio}
    return document


def _rate_table(result: EngineResult, others: dict[databases.Rival, list[float]], plan: Plan) -> Any:
    copies = [run.copy_rows_a_second for runs in result.runs.values() for run in runs]
    rows = [["raw COPY", _spread(copies), "", "", "", "", "", "commit"]]
    for name, runs in result.runs.items():
        rows.append(
            [
                name,
                _spread([run.rate for run in runs]),
                f"{result.ratio(name):.2f}",
                f"{median(run.sent.p50 for run in runs):.0f}",
                f"{max(run.sent.worst for run in runs):.0f}",
                f"{median(run.server_seconds / run.readings for run in runs) * 1e6:.1f}",
                f"{median(run.postgres_seconds / run.readings for run in runs) * 1e6:.1f}",
                "commit",
            ]
        )
    for rival, rates in others.items():
        part = f"{median(rates) / median(copies):.2f}"
        name = rival.name
        rows.append([name, _spread(rates), part, "", "", "", "", rival.acknowledges])
    columns = ("", "readings/s", "of COPY", "p50 ms", "worst", "service µs", "PG µs", "answers after")
    return table(f"{result.engine} (PostgreSQL {result.postgres}): {READINGS:,} readings per request", columns, rows)


def _spread(rates: list[float]) -> str:
    around = f" ({min(rates) / 1000:,.0f} to {max(rates) / 1000:,.0f})" if len(rates) > 1 else ""
    return f"{median(rates) / 1000:,.0f} k{around}"


def _stream_table(result: EngineResult) -> Any:
    stream = result.stream
    rows = [
        ["sent", f"{stream.sent_bytes / 1e6:,.0f} MB, {stream.readings:,} readings in {stream.seconds:.0f} s"],
        ["worker's resident memory, before → peak", _memory(stream.resident_before, stream.resident_peak)],
        ["worker's own memory, before → peak", _memory(stream.own_before, stream.own_peak)],
    ]
    return table(f"{result.engine}: one NDJSON upload to a newly started service", ("", ""), rows)


def _memory(before: int, peak: int) -> str:
    return f"{before / 2**20:.0f} → {peak / 2**20:.0f} MiB"


def _plot(results: list[EngineResult], others: dict[databases.Rival, list[float]]) -> Figure:
    figure = Figure(figsize=(5.4 * len(results), 4.5), layout=ConstrainedLayoutEngine(w_pad=0.2))  # for ticks
    many = figure.subplots(1, len(results), sharex=True, squeeze=False)[0]
    for axes, result in zip(many, results, strict=True):
        bars = [
            (f"{rival.name}, line protocol\n({rival.acknowledges})", rates, "#8b93a3")
            for rival, rates in others.items()
        ]
        bars += [(name, [run.rate for run in runs], "#1f77b4") for name, runs in reversed(result.runs.items())]
        copies = [run.copy_rows_a_second for runs in result.runs.values() for run in runs]
        bars.append(("raw COPY, one connection", copies, "#b0b7c3"))
        middle = [median(rates) / 1000 for _, rates, _ in bars]
        spread = np.abs([[edge(rates) / 1000 for _, rates, _ in bars] for edge in (min, max)] - np.array(middle))
        drawn = axes.barh(
            [name for name, *_ in bars], middle, xerr=spread, capsize=3, color=[colour for *_, colour in bars]
        )
        labels = [
            f"{rate:,.0f} k" + (f" ({result.ratio(name):.2f})" if name in result.runs else "")
            for rate, (name, *_) in zip(middle, bars, strict=True)
        ]
        axes.bar_label(drawn, labels, padding=4, fontsize=9)  # after the range bar, because some bars are short
        axes.margins(x=0.2)
        axes.set_title(f"{result.engine}, PostgreSQL {result.postgres}", fontsize=11)
        axes.xaxis.set_major_formatter(TICKS)
        axes.set_xlabel("thousand readings per second (relative to COPY)")
        axes.spines[["top", "right"]].set_visible(False)
    figure.suptitle(f"{READINGS:,} readings per request, {CONNECTIONS} connections, one worker", fontsize=10)
    return figure
