"""Scenario `rivals`: one table of what storing and asking costs, next to other databases where they are installed.

What Tidemark stores counts as done when it is settled (see `bench.settled`). After each load, the stored readings must
be exactly those acknowledged; otherwise there is no result.
"""

import asyncio
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from statistics import median
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from tidemark.base.time import DAY
from tidemark.embedded.programs import Programs

from bench import databases, mixed, questions
from bench.bodies import CSV, JSON, LINE_PROTOCOL, NDJSON, READINGS, REMOTE_WRITE, Format, Rows, rows_from
from bench.load import CONNECTIONS as GATEWAYS
from bench.processor import process_seconds
from bench.report import QUIET, TICKS, Goal, Report, rounds, table
from bench.requests import STEP, Credentials, line_upload, upload
from bench.senders import Sender, Sent
from bench.service import BenchError, Service, running_service, settle
from bench.settled import (
    CONNECTIONS,
    SERIES,
    LiveTimes,
    Settled,
    check_stored,
    send_settled,
    stored_between,
    usage,
)

MANY_SERIES = 100_000
NOBODY = Credentials("-", "-")
"""Credentials for the other databases, which ignore them."""
LATE_DAYS = 90
LATE_STEP = 60_000_000
"""Microseconds between two late readings of a series."""
STORED_BEFORE = 5
"""One out of this many late readings of each series is already stored, in the run with repeated readings."""
FORMATS = {NDJSON: 0.8, CSV: 0.8, JSON: 0.6, REMOTE_WRITE: 0.6}
"""The other formats, and the goal for their rate relative to line protocol."""
BYTES_GOALS = {"timescale": 12.0, "postgres": 16.0}


@dataclass(frozen=True)
class Plan:
    """How much to measure."""

    rounds: int = 2
    readings: int = 2_000_000
    """Of line protocol, a round; of other formats and late readings half as many."""
    singles: int = 150_000
    days: int = 360
    """Of history, for queries."""
    repeats: int = 40
    dashboards: mixed.Plan = field(default_factory=lambda: mixed.Plan(days=2, rounds=2, seconds=5, warm_up=2))

    @property
    def fewer(self) -> int:
        """Readings of a load that is not of line protocol."""
        return self.readings // 2


FULL = Plan()
QUICK = Plan(1, 400_000, 20_000, 4, 10, mixed.QUICK)


@dataclass(frozen=True)
class Received:
    """What another database has taken; it works on it for a while afterwards, which does not count."""

    readings: int
    sent: Sent
    processor_seconds: float

    @property
    def rate(self) -> float:
        """Readings per second."""
        return self.readings / self.sent.seconds


Loads = dict[str, list[Settled]]
"""The rounds of each load."""

THOUSAND = "line protocol, 1,000 series"
HUNDRED_THOUSAND = "line protocol, 100,000 series"
LATE = "readings of past months"
REPEATED = "the same, a fifth stored already"
SINGLE = f"single readings, {GATEWAYS} connections"


@dataclass(frozen=True)
class EngineResult:
    """All measurements of one engine."""

    engine: str
    postgres: int
    loads: Loads
    disk_bytes: float
    """Bytes on disk per reading, of line protocol with 1,000 series."""
    settled: questions.Times
    unsettled: questions.Times
    dashboards: mixed.EngineResult

    def rate(self, load: str) -> float:
        """Readings per second, the median of the rounds."""
        return median(run.rate for run in self.loads[load])


@dataclass(frozen=True)
class RivalResult:
    """All measurements of another database."""

    rival: str
    acknowledges: str
    loads: dict[str, list[Received]]

    def rate(self, load: str) -> float:
        """Readings per second, the median of the rounds."""
        return median(run.rate for run in self.loads[load])


def run(
    engines: dict[str, Programs], *, quick: bool, say: Callable[[str], None], millions: float | None = None
) -> Report:
    """Measure all engines and rivals, with so many million readings a round of line protocol. Raises BenchError."""
    plan = QUICK if quick else FULL
    if millions is not None:
        plan = Plan(readings=int(millions * 1e6) // READINGS * READINGS)
    for rival in databases.RIVALS:
        if rival not in databases.installed():
            say(f"{rival.name} is NOT INSTALLED ({rival.program} is not on the PATH): it is missing from the table.")
    others = [_measure_rival(rival, plan, say) for rival in databases.installed()]
    return _report([_measure(name, programs, plan, say) for name, programs in engines.items()], others, plan)


def _measure(engine: str, programs: Programs, plan: Plan, say: Callable[[str], None]) -> EngineResult:
    def say_it(line: str) -> None:
        say(f"{engine}: {line}")

    with running_service(programs, SERIES) as service:
        loads, disk_bytes = _loads(service, plan, say_it)
    with running_service(programs, SERIES) as service:
        say_it("queries")
        settled, unsettled = questions.measure(service, plan.days, plan.repeats, say_it)
    with running_service(programs) as service:
        dashboards = mixed.measure(service, engine, programs.major, plan.dashboards, say)
    return EngineResult(engine, programs.major, loads, disk_bytes, settled, unsettled, dashboards)


def _loads(service: Service, plan: Plan, say: Callable[[str], None]) -> tuple[Loads, float]:
    live = LiveTimes()
    loads: Loads = {}

    def note(name: str, measured: Settled) -> None:
        loads.setdefault(name, []).append(measured)
        say(f"{name}: {measured.rate:,.0f} readings/s, {measured.processor_microseconds:.2f} µs each")

    before, stored_before = _size(service), service.writes()[0]
    for _ in range(plan.rounds):
        note(THOUSAND, _send(service, live, LINE_PROTOCOL, lambda: live.weather(plan.readings)))
    disk_bytes = (_size(service) - before) / (service.writes()[0] - stored_before)
    for form in FORMATS:
        note(form.name, _send(service, live, form, lambda: live.rows(plan.fewer)))
    late = rows_from(live.take(0) // DAY * DAY - LATE_DAYS * DAY, 2 * plan.fewer, LATE_STEP, SERIES)
    new, known = late.part(slice(plan.fewer)), late.part(slice(plan.fewer, None))
    note(LATE, _send(service, live, LINE_PROTOCOL, lambda: new))
    some = known.part(np.arange(len(known)) // SERIES % STORED_BEFORE == 0)
    _post(service.port, LINE_PROTOCOL, some, service.credentials)
    asyncio.run(settle(service))
    note(REPEATED, _send(service, live, LINE_PROTOCOL, lambda: known))
    for _ in range(plan.rounds):
        note(SINGLE, _send_singles(service, live, plan.singles))
    say(f"{MANY_SERIES:,} new series")
    _post(service.port, LINE_PROTOCOL, live.rows(MANY_SERIES, MANY_SERIES), service.credentials)
    asyncio.run(settle(service))  # the settler then knows how many they are
    for _ in range(plan.rounds):
        note(
            HUNDRED_THOUSAND,
            _send(service, live, LINE_PROTOCOL, lambda: live.weather(plan.readings, MANY_SERIES), MANY_SERIES),
        )
    return loads, disk_bytes


def _size(service: Service) -> int:
    """Bytes on disk of the database, once everything is settled."""
    asyncio.run(settle(service))
    return asyncio.run(usage(service)).size


def _send(service: Service, live: LiveTimes, form: Format, make: Callable[[], Rows], series: int = SERIES) -> Settled:
    filling = live.filling(series)
    rows = make()
    requests = [form.request(part, service.credentials) for part in rows.requests()]
    measured = send_settled(service, filling, requests, len(rows), connections=CONNECTIONS, status=form.status)
    check_stored(service, rows)
    return measured


def _send_singles(service: Service, live: LiveTimes, count: int) -> Settled:
    filling = live.filling()
    start = live.take(count, 1, STEP)
    requests = [upload(service.credentials, start, number) for number in range(count)]
    measured = send_settled(service, filling, requests, count, connections=GATEWAYS, status=201)
    stored, _ = asyncio.run(stored_between(service, start, start + count * STEP))
    if stored != count:
        raise BenchError(f"{count:,} readings were acknowledged, but {stored:,} are stored.")
    return measured


def _post(port: int, form: Format, rows: Rows, credentials: Credentials) -> Sent:
    requests = [form.request(part, credentials) for part in rows.requests()]
    sent = Sender(port, requests, connections=CONNECTIONS, status=form.status).send()
    if sent.refused or sent.broken:
        raise BenchError(f"{sent.refused} requests were refused, {sent.broken} connections broke.")
    return sent


def _measure_rival(rival: databases.Rival, plan: Plan, say: Callable[[str], None]) -> RivalResult:
    live = LiveTimes()
    loads: dict[str, list[Received]] = {}

    def note(name: str, readings: int, requests: list[bytes], connections: int) -> None:
        sender = Sender(running.port, requests, connections=connections, status=LINE_PROTOCOL.status)
        before = process_seconds(running.pid)
        sent = sender.send()
        if sent.refused or sent.broken:
            raise BenchError(f"{rival.name}: {sent.refused} requests refused, {sent.broken} connections broke.")
        loads.setdefault(name, []).append(Received(readings, sent, process_seconds(running.pid) - before))
        say(f"{rival.name}: {name}: {loads[name][-1].rate:,.0f} readings/s")

    with databases.running_rival(rival) as running:
        for name, series in ((THOUSAND, SERIES), (HUNDRED_THOUSAND, MANY_SERIES)):
            _post(running.port, LINE_PROTOCOL, live.rows(MANY_SERIES, series), NOBODY)
            for _ in range(plan.rounds):
                rows = live.weather(plan.readings, series)
                requests = [LINE_PROTOCOL.request(part, NOBODY) for part in rows.requests()]
                note(name, plan.readings, requests, CONNECTIONS)
        for _ in range(plan.rounds):
            start = live.take(plan.singles, 1, STEP)
            note(SINGLE, plan.singles, [line_upload(start, number) for number in range(plan.singles)], GATEWAYS)
    return RivalResult(rival.name, rival.acknowledges, loads)


def _report(results: list[EngineResult], others: list[RivalResult], plan: Plan) -> Report:
    report = Report("rivals", tables=[_table(results, others)])
    for result in results:
        report.goals += _goals(result, others)
    report.notes = [
        f"Medians of {rounds(plan.rounds)} of {plan.readings:,} readings ({plan.fewer:,} where it is not live line",
        f"protocol); {READINGS:,} a request, {CONNECTIONS} connections, one worker. Until settled: the log of readings",
        "was no longer after each load than before, and the time that this took counts. Each database ran alone.",
        *(f"An answer of {one.rival} means: {one.acknowledges}." for one in others),
        "After each load, the database contained exactly the acknowledged readings.",
    ]
    if max(run.others_busy for result in results for runs in result.loads.values() for run in runs) > QUIET:
        report.notes.append("The machine was busy with other work in some rounds. Measure again on a quiet machine.")
    report.measured = {
        "plan": asdict(plan),
        "engines": [asdict(result) for result in results],
        "rivals": [asdict(one) for one in others],
    }
    report.figure = _plot(results, others)
    return report


def _goals(result: EngineResult, others: list[RivalResult]) -> list[Goal]:
    live, engine = result.rate(THOUSAND), result.engine
    influxdb = next((one for one in others if one.rival == "InfluxDB"), None)
    used = median(run.processor_microseconds for run in result.loads[THOUSAND])
    goals = [
        *(
            Goal(engine, f"{load}, of {influxdb.rival}'s", result.rate(load) / influxdb.rate(load), True, bound)
            for load, bound in ((THOUSAND, 0.8), (HUNDRED_THOUSAND, 0.8), (SINGLE, 1.3))
            if influxdb is not None
        ),
        *(
            Goal(engine, f"{load}, of live line protocol's", result.rate(load) / live, True, bound)
            for load, bound in [(LATE, 0.8), (REPEATED, 0.5), *((form.name, bound) for form, bound in FORMATS.items())]
        ),
        Goal(engine, f"{SINGLE}, p99", median(run.sent.p99 for run in result.loads[SINGLE]), False, 5.0, " ms"),
        Goal(engine, f"{THOUSAND}, processor time per reading", used, False, 1.3, " µs"),
        Goal(engine, "write-ahead log per reading", _wal(result), False, 45, " bytes"),
        Goal(engine, "disk per reading", result.disk_bytes, False, BYTES_GOALS[engine], " bytes"),
        Goal(engine, "latest of 1,000 sensors, with a full log", result.unsettled.latest, False, 50, " ms"),
        Goal(engine, "dashboards' p95 relative to alone", result.dashboards.ratio("dashboards", "p95"), False, 2),
    ]
    for what, with_log, without, bound in (
        ("one series", result.unsettled.one, result.settled.one, 2),
        ("a hundred", result.unsettled.hundred, result.settled.hundred, 15),
    ):
        more = max(with_log[length] - without[length] for length in without)
        goals.append(Goal(engine, f"statistics of {what}: what a full log adds at most", more, False, bound, " ms"))
    return goals


def _wal(result: EngineResult) -> float:
    return median(run.wal_bytes / run.readings for run in result.loads[THOUSAND])


def _table(results: list[EngineResult], others: list[RivalResult]) -> Any:
    rows = []
    for load in results[0].loads if results else ():
        rows.append([f"{load}, readings/s", *_cells(load, results, others, lambda one, load: f"{one.rate(load):,.0f}")])
        if load in (THOUSAND, HUNDRED_THOUSAND, SINGLE):
            rows.append(["    processor time, µs a reading", *_cells(load, results, others, _processor)])
        if load == SINGLE:
            rows.append(["    p50, p99, ms", *_cells(load, results, others, _percentiles)])
    nothing = [""] * len(others)
    rows.append(["write-ahead log, bytes a reading", *(f"{_wal(result):.1f}" for result in results), *nothing])
    rows.append(["disk, bytes a reading", *(f"{result.disk_bytes:.1f}" for result in results), *nothing])
    for name, which in (("one series", "one"), ("a hundred", "hundred")):
        for length in getattr(results[0].settled, which):
            cells = [
                f"{getattr(result.settled, which)[length]:.2f} → {getattr(result.unsettled, which)[length]:.2f}"
                for result in results
            ]
            rows.append([f"statistics of {name}, {length}, ms", *cells, *nothing])
    latest = [f"{result.settled.latest:.1f} → {result.unsettled.latest:.1f}" for result in results]
    rows.append(["latest of 1,000 sensors, ms", *latest, *nothing])
    rows.append(["dashboards' p95, ms", *map(_dashboards, results), *nothing])
    columns = ["", *(f"{one.engine} (PostgreSQL {one.postgres})" for one in results), *(one.rival for one in others)]
    title = "Until settled; queries: nothing unsettled → 250,000 unsettled; dashboards: alone → with writes"
    return table(title, columns, rows)


def _cells(
    load: str,
    results: list[EngineResult],
    others: list[RivalResult],
    cell: Callable[[EngineResult | RivalResult, str], str],
) -> list[str]:
    columns: list[EngineResult | RivalResult] = [*results, *others]
    return [cell(one, load) if load in one.loads else "" for one in columns]


def _processor(one: EngineResult | RivalResult, load: str) -> str:
    if isinstance(one, RivalResult):
        return f"{median(run.processor_seconds / run.readings for run in one.loads[load]) * 1e6:.2f}"
    parts = [
        median(getattr(run, f"{part}_seconds") / run.readings for run in one.loads[load]) * 1e6
        for part in ("service", "maintenance", "postgres")
    ]
    return " + ".join(f"{part:.2f}" for part in parts)


def _percentiles(one: EngineResult | RivalResult, load: str) -> str:
    runs = one.loads[load]
    return ", ".join(f"{median(getattr(run.sent, name) for run in runs):.1f}" for name in ("p50", "p99"))


def _dashboards(result: EngineResult) -> str:
    sides = result.dashboards.alone["dashboards"], result.dashboards.together["dashboards"]
    return " → ".join(f"{mixed.middle(turns, 'p95'):.1f}" for turns in sides)


def _plot(results: list[EngineResult], others: list[RivalResult]) -> Figure:
    figure = Figure(figsize=(12, 4), layout="constrained")
    for axes, load in zip(figure.subplots(1, 3), (THOUSAND, HUNDRED_THOUSAND, SINGLE), strict=True):
        bars = [
            *((one.rival, one.rate(load) / 1000, "#8b93a3") for one in reversed(others)),
            *((one.engine, one.rate(load) / 1000, "#1f77b4") for one in reversed(results)),
        ]
        drawn = axes.barh([name for name, *_ in bars], [rate for _, rate, _ in bars], color=[one[2] for one in bars])
        axes.bar_label(drawn, [f"{rate:,.0f} k" for _, rate, _ in bars], padding=4, fontsize=9)
        axes.margins(x=0.2)
        axes.set_title(load, fontsize=11)
        axes.xaxis.set_major_formatter(TICKS)
        axes.set_xlabel("thousand readings per second")
        axes.spines[["top", "right"]].set_visible(False)
    figure.suptitle("Readings stored per second, until settled (more is better)", fontsize=10)
    return figure
