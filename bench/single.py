"""Scenario `single`: gateways post one reading at a time, and each is acknowledged after its commit.

For each engine, the bare handler and Tidemark take turns under the same load, so that other work on the machine affects
both; the median of the rounds counts. Acknowledged readings must be stored; otherwise there is no result.
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from statistics import median
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.figure import Figure
from tidemark.embedded.programs import Programs
from tidemark.readings.columns import Block

from bench.copying import copy_rate
from bench.load import CONNECTIONS, Load, generator_name, in_flight_at_end, run_load
from bench.processor import machine_seconds, own_memory, process_seconds, resident_memory
from bench.reference import Reference, running_reference
from bench.report import ON_WHITE, QUIET, TICKS, Goal, Report, rounds, table
from bench.requests import SENSORS
from bench.service import BenchError, Service, running_service

if TYPE_CHECKING:
    from numpy.typing import NDArray

ROWS_A_COPY = 20_000
RATIO_GOAL = 0.80
P99_GOAL = 30.0
"""Milliseconds."""


@dataclass(frozen=True)
class Plan:
    """How long to measure; seconds."""

    rounds: int = 3
    seconds: float = 7
    warm_up: float = 3
    copy_commits: int = 50


FULL = Plan()
QUICK = Plan(rounds=1, seconds=2, warm_up=1, copy_commits=5)


@dataclass(frozen=True)
class Run:
    """One run against the bare handler or Tidemark."""

    load: Load
    server_seconds: float
    """Processor time of the HTTP server, in seconds."""
    postgres_seconds: float
    others_busy: float
    """Average number of processors kept busy by other work on the machine."""
    stored: int
    """Readings that the run added to the database; the bare handler stores none."""
    commits: int


@dataclass(frozen=True)
class Memory:
    """The service's memory in bytes: resident, and not shared with other processes."""

    resident: int
    own: int


@dataclass(frozen=True)
class EngineResult:
    """All measurements of one engine."""

    engine: str
    postgres: int
    trivial: Load
    bare: list[Run]
    tidemark: list[Run]
    copy_rows_a_second: float
    memory_at_start: Memory
    memory_at_end: Memory

    @property
    def ratio(self) -> float:
        """Tidemark's requests per second relative to the bare handler's."""
        return median(run.load.rate for run in self.tidemark) / median(run.load.rate for run in self.bare)


def run(engines: dict[str, Programs], *, quick: bool, say: Callable[[str], None]) -> Report:
    """Measure all engines. Raises BenchError if an acknowledged reading is missing."""
    plan = QUICK if quick else FULL
    say(f"load: {generator_name()}, {CONNECTIONS} connections, {SENSORS} sensors")
    results = [_measure(name, programs, plan, say) for name, programs in engines.items()]
    return _report(results, plan)


def _measure(engine: str, programs: Programs, plan: Plan, say: Callable[[str], None]) -> EngineResult:
    with (
        running_reference("trivial") as trivial,
        running_reference("bare") as bare,
        running_service(programs) as service,
    ):
        say(f"{engine}: warming up, {plan.warm_up:g} s each")
        generator_limit = run_load(trivial.port, plan.warm_up, service.credentials)
        _run(service, bare, plan.warm_up)
        _run(service, None, plan.warm_up)
        memory_at_start = _memory(service.pid)
        bare_runs, service_runs = [], []
        for number in range(1, plan.rounds + 1):
            bare_runs.append(_run(service, bare, plan.seconds))
            service_runs.append(_run(service, None, plan.seconds))
            say(
                f"{engine}: round {number} of {plan.rounds}: "
                f"bare {bare_runs[-1].load.rate:,.0f}, Tidemark {service_runs[-1].load.rate:,.0f} requests/s"
            )
        memory_at_end = _memory(service.pid)
        say(f"{engine}: COPY")
        copied = asyncio.run(_copy(service, plan.copy_commits))
    return EngineResult(
        engine,
        programs.major,
        generator_limit,
        bare_runs,
        service_runs,
        copied,
        memory_at_start,
        memory_at_end,
    )


def _run(service: Service, bare: Reference | None, seconds: float) -> Run:
    """Put load on the bare handler, or on the service if there is none."""
    server = service if bare is None else bare
    stored_before, transaction_before = service.writes()
    before = _clocks(server.pid, service.postgres_pid)
    load = run_load(server.port, seconds, service.credentials)
    used = _clocks(server.pid, service.postgres_pid) - before
    stored_after, transaction_after = service.writes()
    stored, acknowledged = stored_after - stored_before, 0 if bare else load.answers
    if load.refused or load.broken:
        raise BenchError(f"{load.refused} readings were refused, {load.broken} connections broke.")
    if not acknowledged <= stored <= acknowledged + in_flight_at_end():
        raise BenchError(f"{acknowledged:,} readings were acknowledged, but {stored:,} are stored.")
    server_seconds, postgres_seconds, machine = used.tolist()
    others = machine - server_seconds - postgres_seconds - load.generator_seconds
    return Run(
        load,
        server_seconds,
        postgres_seconds,
        max(0.0, others / load.seconds),
        stored,
        transaction_after - transaction_before,
    )


def _clocks(server_pid: int, postgres_pid: int) -> "NDArray[np.float64]":
    return np.array([process_seconds(server_pid), process_seconds(postgres_pid), machine_seconds()])


def _memory(pid: int) -> Memory:
    return Memory(resident_memory(pid), own_memory(pid))


async def _copy(service: Service, commits: int) -> float:
    """Like the uploads of the load, all readings have coordinates."""
    numbers = np.arange(ROWS_A_COPY * commits)
    start = time.time_ns() // 1000
    blocks = [
        Block(
            series_id=(1 + part % SENSORS).astype(np.int32),
            at=start + part * 10,
            value=20 + part % 1000 / 100,
            optional={"latitude": np.full(len(part), 51.509865), "longitude": np.full(len(part), -0.118092)},
        )
        for part in np.split(numbers, commits)
    ]
    return await copy_rate(service.server.url, blocks)


def _report(results: list[EngineResult], plan: Plan) -> Report:
    report = Report("single")
    for result in results:
        report.tables += [_load_table(result, plan), _cost_table(result)]
        report.goals += [
            Goal(result.engine, "requests/s relative to the bare handler", result.ratio, True, RATIO_GOAL),
            Goal(result.engine, "p99", _of(result, "p99"), False, P99_GOAL, " ms"),
        ]
    report.notes = [
        f"Medians of {rounds(plan.rounds)} of {plan.seconds:g} s; lowest and highest round in brackets.",
        f"Warm-up of {plan.warm_up:g} s; {CONNECTIONS} keep-alive connections; one worker.",
        f"Load generator: {generator_name()}.",
        "Latencies are corrected for coordinated omission. Every acknowledged reading was found in the database.",
    ]
    if max(map(_disturbance, results)) > QUIET:
        report.notes.append(
            "The machine was busy with other work, so the ratio is unreliable. Measure again on a quiet machine."
        )
    report.measured = {"plan": asdict(plan), "engines": [_document(result) for result in results]}
    report.figure = _plot(results)
    return report


def _disturbance(result: EngineResult) -> float:
    return max(run.others_busy for run in result.bare + result.tidemark)


def _of(result: EngineResult, name: str) -> float:
    return float(median(getattr(run.load, name) for run in result.tidemark))


def _document(result: EngineResult) -> dict[str, Any]:
    document = asdict(result)
    for load in [document["trivial"], *(run["load"] for run in document["bare"] + document["tidemark"])]:
        load["requests_a_second"] = load["answers"] / load["seconds"]
    return {**document, "ratio": result.ratio}


def _load_table(result: EngineResult, plan: Plan) -> Any:
    loads = {
        "bare handler": [run.load for run in result.bare],
        "Tidemark": [run.load for run in result.tidemark],
        "trivial responder": [result.trivial],
    }
    rows = []
    for name, runs in loads.items():
        rates = sorted(run.rate for run in runs)
        spread = f" ({rates[0]:,.0f} to {rates[-1]:,.0f})" if len(rates) > 1 else ""
        latencies = [f"{median(getattr(run, one) for run in runs):.2f}" for one in ("p50", "p99", "p999")]
        share = median(run.generator_share for run in runs)
        rows.append([name, f"{median(rates):,.0f}{spread}", *latencies, f"{share:.0%}"])
    return table(
        f"{result.engine} (PostgreSQL {result.postgres}): one reading per request, {plan.seconds:g} s per round",
        ("", "requests/s", "p50 ms", "p99 ms", "p99.9 ms", "generator load"),
        rows,
    )


def _cost_table(result: EngineResult) -> Any:
    def microseconds(runs: list[Run], name: str) -> str:
        return f"{median(getattr(run, name) / run.load.answers for run in runs) * 1e6:.1f} µs"

    start, end = result.memory_at_start, result.memory_at_end
    rows = [
        ["requests/s, relative to the bare handler", f"{result.ratio:.2f}"],
        [
            "readings committed per batch",
            f"{median(run.stored / run.commits for run in result.tidemark):.1f}",
        ],
        ["processor time per reading, service", microseconds(result.tidemark, "server_seconds")],
        ["processor time per reading, PostgreSQL", microseconds(result.tidemark, "postgres_seconds")],
        ["processor time per request, bare handler", microseconds(result.bare, "server_seconds")],
        ["readings stored in the measured rounds", f"{sum(run.stored for run in result.tidemark):,}"],
        ["service's resident memory, start → end", f"{_mib(start.resident)} → {_mib(end.resident)}"],
        ["service's own memory, start → end", f"{_mib(start.own)} → {_mib(end.own)}"],
        ["raw COPY, one connection, rows/s", f"{result.copy_rows_a_second:,.0f}"],
        ["processors busy with other work, at most", f"{_disturbance(result):.2f}"],
    ]
    return table(f"{result.engine}: resources", ("", "median"), rows)


def _mib(size: int) -> str:
    return f"{size / 2**20:.0f} MiB"


def _plot(results: list[EngineResult]) -> Figure:
    figure = Figure(figsize=(10, 4.5), layout="constrained")
    rates, latencies = figure.subplots(1, 2)
    names = [f"{result.engine}\nPostgreSQL {result.postgres}" for result in results]
    places = range(len(results))
    bars = {
        "bare aiohttp handler, stores nothing": (
            "#b0b7c3",
            "black",
            [[one.load.rate for one in result.bare] for result in results],
        ),
        "Tidemark, every reading durable": (
            "#1f77b4",
            "white",
            [[one.load.rate for one in result.tidemark] for result in results],
        ),
    }
    for shift, (label, (colour, text_colour, runs)) in zip((-0.2, 0.2), bars.items(), strict=True):
        middle = [median(one) for one in runs]
        spread = np.abs([[min(one) for one in runs], [max(one) for one in runs]] - np.array(middle))
        drawn = rates.bar(
            [place + shift for place in places], middle, 0.38, yerr=spread, capsize=4, color=colour, label=label
        )
        labels = [f"{one:,.0f}" for one in middle]
        rates.bar_label(drawn, labels, label_type="center", color=text_colour)
    rates.set_title("Single-reading POSTs per second (more is better)", fontsize=11)
    rates.set_ylim(0, rates.get_ylim()[1] * 1.25)
    rates.legend(loc="upper left", fontsize=9)
    for shift, name, label, colour in (
        (-0.27, "p50", "median (p50)", "#9ecae1"),
        (0.0, "p99", "99 % (p99)", "#4292c6"),
        (0.27, "p999", "99.9 % (p99.9)", "#08519c"),
    ):
        values = [_of(result, name) for result in results]
        drawn = latencies.bar([place + shift for place in places], values, 0.25, color=colour, label=label)
        latencies.bar_label(drawn, [f"{one:,.1f}" for one in values], padding=3, bbox=ON_WHITE)
    latencies.axhline(P99_GOAL, color="#d62728", linestyle="--", linewidth=1, label=f"goal for p99: {P99_GOAL:g} ms")
    latencies.set_title("Tidemark's time to a durable response, ms (less is better)", fontsize=11)
    latencies.set_ylim(0, max(P99_GOAL, latencies.get_ylim()[1]) * 1.4)
    latencies.legend(loc="upper left", fontsize=9)
    for axes in (rates, latencies):
        axes.set_xticks(list(places), names)
        axes.yaxis.set_major_formatter(TICKS)
        axes.spines[["top", "right"]].set_visible(False)
    figure.suptitle(f"{CONNECTIONS} keep-alive connections, one worker", fontsize=10)
    return figure
