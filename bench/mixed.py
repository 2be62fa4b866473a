"""Scenario `mixed`: gateways write at half the maximum rate while dashboards poll statistics.

Each side is measured alone and together with the other, in turns. Requests are due at a steady pace, and the latency of
each counts from when it was due.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from statistics import median
from typing import Any
from urllib.parse import urlencode

import numpy as np
from matplotlib.figure import Figure
from tidemark.base.time import DAY, HOUR, floor, instant, microseconds
from tidemark.embedded.programs import Programs

from bench.bodies import CSV, READINGS, rows_from
from bench.load import CONNECTIONS, run_load
from bench.processor import machine_seconds, process_seconds
from bench.report import QUIET, TICKS, Goal, Report, rounds, table
from bench.requests import SENSORS, Credentials, sensor_id, upload
from bench.senders import PERCENTILES, Sender, Sent
from bench.service import BenchError, Service, running_service, settle

DASHBOARDS = 50
POLLS_A_SECOND = 2
"""Polls per second of each dashboard."""
LENGTHS = (2 * HOUR, DAY, 7 * DAY, 13 * DAY)
"""How far back the dashboards look, in turns; microseconds."""
MINUTE = 60_000_000
SHARE = 0.5
"""Share of the maximum write rate."""
P95_GOAL = 3.0


@dataclass(frozen=True)
class Plan:
    """How much to store and how long to measure."""

    days: int = 14
    rounds: int = 3
    seconds: float = 10
    warm_up: float = 3


FULL = Plan()
QUICK = Plan(days=2, rounds=1, seconds=2, warm_up=1)


@dataclass(frozen=True)
class Turn:
    """The result of one side, alone or together with the other."""

    sent: Sent
    others_busy: float
    """Average number of processors kept busy by other work on the machine."""

    @property
    def rate(self) -> float:
        """Responses per second."""
        return self.sent.requests / self.sent.seconds


@dataclass(frozen=True)
class EngineResult:
    """All measurements of one engine; the sides are `writes` and `dashboards`."""

    engine: str
    postgres: int
    most_writes: float
    """Maximum writes per second without other load."""
    alone: dict[str, list[Turn]]
    together: dict[str, list[Turn]]

    def ratio(self, side: str, percentile: str) -> float:
        """A latency relative to the same latency alone."""
        return middle(self.together[side], percentile) / middle(self.alone[side], percentile)


def middle(turns: list[Turn], percentile: str) -> float:
    """The median of the rounds in milliseconds."""
    return float(median(getattr(turn.sent, percentile) for turn in turns))


def run(engines: dict[str, Programs], *, quick: bool, say: Callable[[str], None]) -> Report:
    """Measure all engines. Raises BenchError if an acknowledged reading is missing or a request is refused."""
    plan = QUICK if quick else FULL
    results = []
    for name, programs in engines.items():
        with running_service(programs) as service:
            results.append(measure(service, name, programs.major, plan, say))
    return _report(results, plan)


def measure(service: Service, engine: str, postgres: int, plan: Plan, say: Callable[[str], None]) -> EngineResult:
    """Measure a new service. Raises BenchError."""
    say(f"{engine}: storing one reading per minute of {SENSORS} sensors for {plan.days} days")
    _store_history(service, plan.days)
    asyncio.run(settle(service))
    run_load(service.port, plan.warm_up, service.credentials)
    # Other work on the machine can only lower the rate.
    most = max(run_load(service.port, plan.seconds / 2, service.credentials).rate for _ in range(3))
    say(f"{engine}: {most:,.0f} writes/s at most")

    def turn(*sides: str, seconds: float = plan.seconds) -> dict[str, Turn]:
        return _turn(service, most * SHARE, sides, seconds)

    alone: dict[str, list[Turn]] = {"writes": [], "dashboards": []}
    together: dict[str, list[Turn]] = {"writes": [], "dashboards": []}
    turn("writes", "dashboards", seconds=plan.warm_up)
    for number in range(1, plan.rounds + 1):
        for side, turns in alone.items():
            turns.append(turn(side)[side])
        for side, measured in turn("writes", "dashboards").items():
            together[side].append(measured)
        p95 = ", ".join(
            f"{side} {alone[side][-1].sent.p95:.1f} → {together[side][-1].sent.p95:.1f} ms" for side in alone
        )
        say(f"{engine}: round {number} of {plan.rounds}: p95 alone → together: {p95}")
    return EngineResult(engine, postgres, most, alone, together)


def _turn(service: Service, writes_a_second: float, sides: tuple[str, ...], seconds: float) -> dict[str, Turn]:
    now = microseconds(datetime.now(UTC))
    senders = {}
    if "writes" in sides:
        uploads = [upload(service.credentials, now, number) for number in range(int(writes_a_second * seconds))]
        senders["writes"] = Sender(service.port, uploads, connections=CONNECTIONS, status=201, rate=writes_a_second)
    if "dashboards" in sides:
        polls = DASHBOARDS * POLLS_A_SECOND
        questions = [_question(service.credentials, now, number) for number in range(int(polls * seconds))]
        senders["dashboards"] = Sender(service.port, questions, connections=DASHBOARDS, status=200, rate=polls)
    stored, _ = service.writes()
    before = _clocks(service)
    with ThreadPoolExecutor() as threads:
        sent = dict(zip(senders, threads.map(Sender.send, senders.values()), strict=True))
    servers_seconds, machine = (_clocks(service) - before).tolist()
    for side, one in sent.items():
        if one.refused or one.broken:
            raise BenchError(f"{side}: {one.refused} requests were refused, {one.broken} connections broke.")
    acknowledged = sent["writes"].requests if "writes" in sent else 0
    more = service.writes()[0] - stored
    if more != acknowledged:
        raise BenchError(f"{acknowledged:,} readings were acknowledged, but {more:,} are stored.")
    others = machine - servers_seconds - sum(one.sender_seconds for one in sent.values())
    busy = max(0.0, others / max(one.seconds for one in sent.values()))
    return {side: Turn(one, busy) for side, one in sent.items()}


def _clocks(service: Service) -> Any:
    return np.array([process_seconds(service.pid) + process_seconds(service.postgres_pid), machine_seconds()])


def _question(credentials: Credentials, now: int, number: int) -> bytes:
    """The HTTP request of a poll: statistics of one sensor over a recent window. No two windows are the same."""
    dashboard, poll = number % DASHBOARDS, number // DASHBOARDS
    start = instant(now - LENGTHS[(dashboard + poll) % len(LENGTHS)] - number)
    parameters = urlencode({"input_ids": sensor_id(dashboard), "timeperiod_start": start.isoformat()})
    return (
        f"GET /api/external/v1/get_statistics_inputdata_by_inputs/?{parameters} HTTP/1.1\r\nHost: 127.0.0.1\r\n"
        f"ORGANIZATION-ID: {credentials.organization_id}\r\nORGANIZATION-API-KEY: {credentials.api_key}\r\n\r\n"
    ).encode()


def _store_history(service: Service, days: int) -> None:
    start = floor(microseconds(datetime.now(UTC)), MINUTE) - days * DAY
    rows = rows_from(start, SENSORS * days * DAY // MINUTE, MINUTE)
    requests = [CSV.request(part, service.credentials) for part in rows.requests()]
    sent = Sender(service.port, requests, connections=4, status=CSV.status).send()
    if sent.refused or sent.broken or sent.requests * READINGS < len(rows):
        raise BenchError("The history could not be stored.")


def _report(results: list[EngineResult], plan: Plan) -> Report:
    report = Report("mixed")
    for result in results:
        report.tables.append(_table(result))
        ratio = result.ratio("dashboards", "p95")
        report.goals.append(Goal(result.engine, "dashboards' p95 relative to their p95 alone", ratio, False, P95_GOAL))
    report.notes = [
        f"Medians of {rounds(plan.rounds)} of {plan.seconds:g} s, alone and together in turns.",
        "Latencies count from when the request was due. Sender: processors that it kept busy.",
        f"Writes: single-reading POSTs at half the maximum rate, on {CONNECTIONS} connections.",
        f"Dashboards: {DASHBOARDS}, each polling a sensor's statistics {POLLS_A_SECOND} times per second, over the",
        "last 2 hours to 13 days. No window is repeated, so no response comes from the cache.",
        "Every acknowledged reading was found in the database.",
    ]
    turns = [
        turn
        for result in results
        for sides in (result.alone, result.together)
        for own in sides.values()
        for turn in own
    ]
    if max(turn.others_busy for turn in turns) > QUIET:
        report.notes.append("The machine was busy with other work in some turns. Measure again on a quiet machine.")
    report.measured = {"plan": asdict(plan), "engines": [_document(result) for result in results]}
    report.figure = _plot(results)
    return report


def _document(result: EngineResult) -> dict[str, Any]:
    return {**asdict(result), "p95_ratios": {side: result.ratio(side, "p95") for side in result.alone}}


def _table(result: EngineResult) -> Any:
    rows = []
    for side in result.alone:
        for name, turns in (("alone", result.alone[side]), ("together", result.together[side])):
            rows.append(
                [
                    f"{side}, {name}",
                    f"{median(turn.rate for turn in turns):,.0f}",
                    *(f"{middle(turns, one):.2f}" for one in PERCENTILES),
                    f"{median(turn.sent.sender_seconds / turn.sent.seconds for turn in turns):.0%}",
                    f"{max(turn.others_busy for turn in turns):.2f}",
                ]
            )
        times = [f"{result.ratio(side, one):.2f}" for one in PERCENTILES]
        rows.append([f"{side}, times", "", *times, "", ""])
    title = f"{result.engine} (PostgreSQL {result.postgres}): at most {result.most_writes:,.0f} writes/s"
    columns = ("", "requests/s", "p50 ms", "p95 ms", "p99 ms", "worst ms", "sender", "others busy")
    return table(title, columns, rows)


def _plot(results: list[EngineResult]) -> Figure:
    figure = Figure(figsize=(10, 4.5), layout="constrained")
    for axes, side in zip(figure.subplots(1, 2), ("dashboards", "writes"), strict=True):
        for shift, colour, when in ((-0.2, "#b0b7c3", "alone"), (0.2, "#1f77b4", "together")):
            values = [middle(getattr(result, when)[side], "p95") for result in results]
            drawn = axes.bar([place + shift for place in range(len(results))], values, 0.38, color=colour, label=when)
            axes.bar_label(drawn, [f"{value:,.1f}" for value in values], padding=2)
        axes.set_xticks(range(len(results)), [f"{one.engine}\nPostgreSQL {one.postgres}" for one in results])
        axes.yaxis.set_major_formatter(TICKS)
        axes.set_title(f"{side}: p95, ms (less is better)", fontsize=11)
        axes.set_ylim(0, axes.get_ylim()[1] * 1.2)
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(loc="upper left", fontsize=9)
    figure.suptitle(
        f"Writes at half the maximum rate, {DASHBOARDS} dashboards polling {POLLS_A_SECOND} times per second",
        fontsize=10,
    )
    return figure
