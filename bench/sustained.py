"""Scenario `sustained`: line protocol as fast as it is taken, for minutes. Rate, memory, log and space must not drift.

While one part is sent, the next is prepared, by the harness, on the same processors. Ends early where the disk runs
short.
"""

import asyncio
import shutil
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from statistics import median
from typing import TypeAlias

from matplotlib.figure import Figure
from tidemark.embedded.programs import Programs

from bench.bodies import LINE_PROTOCOL, READINGS
from bench.processor import memory_of_all
from bench.report import TICKS, Goal, Report, table
from bench.senders import Sender
from bench.service import BenchError, Service, running_service
from bench.settled import CONNECTIONS, SERIES, LiveTimes, log_length, usage

MINUTES = 2.0
PART = 1_000_000
"""Readings that are prepared at a time."""
FREE_BYTES = 8 * 2**30
"""Less free space than this on the disk ends the run."""
STEADY = 0.9


@dataclass(frozen=True)
class Sample:
    """What was seen at the end of a part."""

    seconds: float
    """Since the beginning."""
    rate: float
    """Readings per second of this part, from its first byte to its last response."""
    memory: int
    """Bytes of memory of the processes that serve and settle."""
    unsettled: int
    """Readings in the log."""
    log_bytes: int
    """Bytes of the log on disk."""
    bytes_a_reading: float
    """Bytes of everything else on disk, for each reading that is settled."""


@dataclass(frozen=True)
class EngineResult:
    """All samples of one engine."""

    engine: str
    postgres: int
    samples: list[Sample]

    @property
    def steadiness(self) -> float:
        """The rate in the last third relative to the first third."""
        third = max(1, len(self.samples) // 3)
        first, last = self.samples[:third], self.samples[-third:]
        return median(one.rate for one in last) / median(one.rate for one in first)


def run(
    engines: dict[str, Programs], *, quick: bool, say: Callable[[str], None], minutes: float | None = None
) -> Report:
    """Measure all engines, one after the other, each for so many minutes. Raises BenchError."""
    length = minutes or (0.2 if quick else MINUTES)
    results = []
    for name, programs in engines.items():
        say(f"{name}: writing for {length:g} minutes")
        with running_service(programs) as service:
            results.append(EngineResult(name, programs.major, _write(service, length * 60)))
    return _report(results, length)


def _write(service: Service, seconds: float) -> list[Sample]:
    samples: list[Sample] = []
    live, began = LiveTimes(), time.monotonic()
    empty, sent_readings = asyncio.run(usage(service)).size, 0
    following = _prepared(service, live)
    with ThreadPoolExecutor(1) as threads:
        while time.monotonic() - began < seconds and shutil.disk_usage(tempfile.gettempdir()).free > FREE_BYTES:
            sending = threads.submit(following.send)
            following = _prepared(service, live)
            sent = sending.result()
            if sent.refused or sent.broken:
                raise BenchError(f"{sent.refused} requests were refused, {sent.broken} connections broke.")
            sent_readings += PART
            unsettled, used = asyncio.run(log_length(service)), asyncio.run(usage(service))
            samples.append(
                Sample(
                    time.monotonic() - began,
                    PART / sent.seconds,
                    memory_of_all(service.pid),
                    unsettled,
                    used.log_size,
                    (used.size - empty) / max(1, sent_readings - unsettled),
                )
            )
        following.send()
    return samples


def _prepared(service: Service, live: LiveTimes) -> Sender:
    rows = live.weather(PART)
    requests = [LINE_PROTOCOL.request(part, service.credentials) for part in rows.requests()]
    return Sender(service.port, requests, connections=CONNECTIONS, status=LINE_PROTOCOL.status)


def _report(results: list[EngineResult], minutes: float) -> Report:
    report = Report("sustained", tables=[table("Line protocol as fast as it is taken", COLUMNS, _rows(results))])
    report.goals = [
        Goal(one.engine, "rate of the last third relative to the first", one.steadiness, True, STEADY)
        for one in results
    ]
    report.notes = [
        f"{minutes:g} minutes, {READINGS:,} readings a request, {CONNECTIONS} connections, {SERIES:,} series.",
        "Each figure: median of the first third of the run → of the last third.",
    ]
    report.measured = {"engines": [asdict(one) for one in results]}
    report.figure = _plot(results)
    return report


Kind: TypeAlias = tuple[Callable[[Sample], float], str]
KINDS: tuple[Kind, ...] = (
    (lambda sample: sample.rate / 1e3, "thousand readings per second"),
    (lambda sample: sample.memory / 2**20, "memory of service and settler, MiB"),
    (lambda sample: sample.unsettled / 1e3, "unsettled readings, thousands"),
    (lambda sample: sample.log_bytes / 2**20, "log on disk, MiB"),
    (lambda sample: sample.bytes_a_reading, "bytes on disk a settled reading"),
)
COLUMNS = ("", *(label for _, label in KINDS))


def _rows(results: list[EngineResult]) -> list[list[str]]:
    rows = []
    for one in results:
        third = max(1, len(one.samples) // 3)
        cells = [
            " → ".join(f"{median(map(measure, part)):,.0f}" for part in (one.samples[:third], one.samples[-third:]))
            for measure, _ in KINDS
        ]
        rows.append([one.engine, *cells])
    return rows


def _plot(results: list[EngineResult]) -> Figure:
    figure = Figure(figsize=(10, 2 * len(KINDS)), layout="constrained")
    many = figure.subplots(len(KINDS), 1, sharex=True)
    for axes, (measure, label) in zip(many, KINDS, strict=True):
        for one in results:
            minutes = [sample.seconds / 60 for sample in one.samples]
            axes.plot(minutes, [*map(measure, one.samples)], label=one.engine)
        axes.set_title(label, fontsize=10, loc="left")
        axes.set_ylim(bottom=0)
        axes.yaxis.set_major_formatter(TICKS)
        axes.spines[["top", "right"]].set_visible(False)
    many[0].legend(loc="lower right", fontsize=9)
    many[-1].set_xlabel("minutes")
    return figure
