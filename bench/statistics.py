"""Scenario `statistics`: minimum, maximum and mean of one sensor over windows from two hours to a year.

Thirty sensors with one reading per minute are stored as they would have arrived, rolled up by the service's own
functions and queried with the service's own statements. The same windows are then computed from raw rows.
"""

import asyncio
import random
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from statistics import median
from typing import TYPE_CHECKING, Any

import asyncpg
import numpy as np
import orjson
from matplotlib.figure import Figure
from rich.console import Console
from rich.progress import MofNCompleteColumn, Progress, TimeRemainingColumn
from tidemark.base.time import DAY, HOUR, Window, floor, instant, microseconds
from tidemark.database.database import Database
from tidemark.database.migration import migrate
from tidemark.database.statements import Statement, statements
from tidemark.embedded.programs import Programs
from tidemark.readings.columns import Block
from tidemark.readings.rollup import move_line
from tidemark.readings.settling.changes import put
from tidemark.readings.statistics import Statistics, StatisticsQuery
from tidemark.readings.tiers import plan

from bench.report import ON_WHITE, TICKS, Goal, Report, table
from bench.service import SQL, BenchError, scratch_server

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tidemark.database.database import Connected

SENSORS = 30
SERIES = 17
"""The sensor that is queried, in the middle of the others."""
MINUTE = 60_000_000
MINUTES_A_COPY = 1000
SEED = 20130101
GROWTH_GOAL = 2.0
GAIN_GOALS = {90: 20.0, 360: 100.0}


@dataclass(frozen=True)
class Size:
    """How much to store and query: days of readings, window lengths in microseconds, and windows per length."""

    days: int
    lengths: tuple[int, ...]
    windows: int
    raw_windows: int


FULL = Size(360, (2 * HOUR, 2 * DAY, 90 * DAY, 360 * DAY), 100, 9)
QUICK = Size(20, (2 * HOUR, 2 * DAY, 20 * DAY), 20, 3)


@dataclass(frozen=True)
class Cost:
    """Medians in milliseconds: the database's planning and execution, and the service's total wait."""

    planning: float
    execution: float
    client: float

    @property
    def database(self) -> float:
        """The database's time."""
        return self.planning + self.execution


@dataclass(frozen=True)
class Answered:
    """The cost of windows of one length, from roll-ups and from raw rows."""

    length: int
    rolled_up: Cost
    raw: Cost

    @property
    def gain(self) -> float:
        """How many times less work the database does than from raw rows."""
        return self.raw.database / self.rolled_up.database


@dataclass(frozen=True)
class EngineResult:
    """All measurements of one engine."""

    engine: str
    postgres: int
    readings: int
    load_seconds: float
    roll_up_seconds: float
    answered: list[Answered]


def run(engines: dict[str, Programs], *, quick: bool, say: Callable[[str], None]) -> Report:
    """Measure all engines. Raises BenchError if statistics do not match the raw rows."""
    size = QUICK if quick else FULL
    results = []
    for name, programs in engines.items():
        with scratch_server(programs) as (_, server):
            results.append(asyncio.run(_measure(server.url, name, programs, size, say)))
    return _report(results, size)


async def _measure(url: str, engine: str, programs: Programs, size: Size, say: Callable[[str], None]) -> EngineResult:
    finish = floor(microseconds(datetime.now(UTC)), HOUR)
    start = finish - size.days * DAY
    loop = asyncio.get_running_loop()
    connection = await asyncpg.connect(url)
    try:
        if (found := (await migrate(connection)).engine) != engine:
            raise BenchError(f"The database chose the engine {found}.")
        await SQL.set_lines_back.run(connection, line=instant(floor(start, DAY)))
        began = loop.time()
        await _store(connection, engine, start, finish)
        stored = loop.time()
        say(f"{engine}: rolling up")
        await move_line(connection, engine, instant(finish))
        rolled_up = loop.time()
        say(f"{engine}: VACUUM ANALYZE")
        await SQL.tidy.run(connection)
    finally:
        await connection.close()
    database = Database(url)
    await database.open()
    database.ready.set()
    try:
        answered = [await _ask(database, engine, length, start, finish, size, say) for length in size.lengths]
    finally:
        await database.close()
    readings = SENSORS * size.days * DAY // MINUTE
    return EngineResult(engine, programs.major, readings, stored - began, rolled_up - stored, answered)


async def _store(connection: "Connected", engine: str, start: int, finish: int) -> None:
    """Store one reading per sensor and minute from `start` to before `finish`, in time order."""
    randomness = np.random.default_rng(SEED)
    series = np.arange(1, SENSORS + 1)
    parts = range(start, finish, MINUTES_A_COPY * MINUTE)
    columns = (*Progress.get_default_columns()[:-1], MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as progress:
        for part in progress.track(parts, description=f"{engine}: storing, {MINUTES_A_COPY * SENSORS:,} rows each"):
            minutes = np.arange(part, min(part + MINUTES_A_COPY * MINUTE, finish), MINUTE)
            instants = np.tile(minutes, SENSORS)
            ids = np.repeat(series, len(minutes)).astype(np.int32)
            daily = 8 * np.sin(2 * np.pi * (instants % DAY) / DAY)
            values = np.round(12 + ids / 10 + daily + randomness.normal(0, 0.5, len(ids)), 2)
            async with connection.transaction(isolation="repeatable_read"):
                await put(connection, engine, Block(series_id=ids, at=instants, value=values))


def windows(length: int, start: int, finish: int, count: int) -> "Iterator[Window]":
    """Windows of this length at random positions, with ragged edges, at most two hours shorter than the data."""
    chance = random.Random(SEED + length)
    length = min(length, finish - start - 2 * HOUR)
    for _ in range(count):
        first = chance.randrange(start, finish - length)
        yield Window(first, first + length)


async def _ask(
    database: Database,
    engine: str,
    length: int,
    start: int,
    finish: int,
    size: Size,
    say: Callable[[str], None],
) -> Answered:
    say(f"{engine}: querying windows of {describe(length)}")
    rolled_up, raw = [], []
    query = StatisticsQuery(database)
    async with database.snapshot() as connection:
        read_line = microseconds(await statements().read_line.value(connection))
        for number, window in enumerate(windows(length, start, finish, size.windows)):
            bounds = plan(window, read_line).instants()
            times = await _explain(connection, statements().statistics, series_ids=[SERIES], **bounds)
            began = asyncio.get_running_loop().time()
            statistics = (await query.of([SERIES], window))[SERIES]
            rolled_up.append((*times, (asyncio.get_running_loop().time() - began) * 1000))
            if number < size.raw_windows:
                raw.append(await _ask_raw(connection, window, statistics))
    return Answered(length, _medians(rolled_up), _medians(raw))


async def _ask_raw(connection: "Connected", window: Window, statistics: Statistics) -> tuple[float, float, float]:
    """The cost of a window's statistics from raw rows. Raises BenchError if they differ from the given ones."""
    of = {"series_id": SERIES, "start": instant(window.start), "finish": instant(window.finish)}
    magnitude = await SQL.mean_magnitude.value(connection, **of)  # this also loads the rows into the cache
    times = await _explain(connection, SQL.raw_statistics, **of)
    began = asyncio.get_running_loop().time()
    row = await SQL.raw_statistics.row(connection, **of)
    client = (asyncio.get_running_loop().time() - began) * 1000
    assert row is not None  # an aggregate has one row
    exact = (statistics.count, statistics.minimum, statistics.maximum) == (
        row["sample_count"],
        row["value_min"],
        row["value_max"],
    )
    if not exact or abs((statistics.mean or 0.0) - row["value_sum"] / row["sample_count"]) > 1e-9 * magnitude:
        raise BenchError(f"From {of['start']} to {of['finish']}: {statistics}, but raw rows give {dict(row)}.")
    return (*times, client)


async def _explain(connection: "Connected", statement: Statement, **values: Any) -> tuple[float, float]:
    """Milliseconds of planning and execution."""
    told = await connection.fetchval(f"{SQL.explain.text}\n{statement.text}", *statement.in_order(values))
    document = orjson.loads(told)[0]
    return document["Planning Time"], document["Execution Time"]


def _medians(costs: list[tuple[float, float, float]]) -> Cost:
    return Cost(*(median(column) for column in zip(*costs, strict=True)))


def describe(length: int) -> str:
    """A length in words."""
    return f"{length // DAY} days" if length >= DAY else f"{length // HOUR} hours"


def _report(results: list[EngineResult], size: Size) -> Report:
    report = Report("statistics")
    for result in results:
        report.tables.append(_table(result))
        report.goals += _goals(result)
    report.notes = [
        f"One of {SENSORS} sensors, one reading per minute for {size.days} days; the cache is warm.",
        f"Medians of {size.windows} windows at random positions with ragged edges (raw: {size.raw_windows}).",
        "Count, min and max from roll-ups and raw rows were equal, and the mean to within 1e-9.",
        "Client: how long the service waits for the answer.",
    ]
    if size is QUICK:
        report.notes.append("The goals are for a year of readings and are not checked in a quick run.")
    report.measured = {"size": asdict(size), "engines": [_document(result) for result in results]}
    report.figure = _plot(results)
    return report


def _goals(result: EngineResult) -> "list[Goal]":
    of = {answered.length // DAY: answered for answered in result.answered}
    if 360 not in of:
        return []
    growth = of[360].rolled_up.database / of[2].rolled_up.database
    return [Goal(result.engine, "360 days relative to 2 days", growth, False, GROWTH_GOAL)] + [
        Goal(result.engine, f"{days} days, raw rows relative to roll-ups", of[days].gain, True, goal)
        for days, goal in GAIN_GOALS.items()
    ]


def _document(result: EngineResult) -> dict[str, Any]:
    document = asdict(result)
    for answered, made in zip(result.answered, document["answered"], strict=True):
        made |= {"window": describe(answered.length), "raw_over_rolled_up": answered.gain}
    return document


def _table(result: EngineResult) -> Any:
    rows = [
        [
            describe(one.length),
            f"{one.rolled_up.planning:.2f}",
            f"{one.rolled_up.execution:.2f}",
            f"{one.rolled_up.database:.2f}",
            f"{one.rolled_up.client:.2f}",
            f"{one.raw.database:.2f}",
            f"{one.raw.client:.2f}",
            f"{one.gain:,.1f}",
        ]
        for one in result.answered
    ]
    title = (
        f"{result.engine} (PostgreSQL {result.postgres}): {result.readings:,} readings, stored in "
        f"{result.load_seconds:.0f} s, rolled up in {result.roll_up_seconds:.0f} s; milliseconds"
    )
    columns = (
        "window",
        "plan",
        "execute",
        "database",
        "client",
        "raw database",
        "raw client",
        "raw / rolled up",
    )
    return table(title, columns, rows)


def _plot(results: list[EngineResult]) -> Figure:
    figure = Figure(figsize=(5.2 * len(results), 4.5), layout="constrained")
    many = figure.subplots(1, len(results), sharey=True, squeeze=False)[0]
    for axes, result in zip(many, results, strict=True):
        names = [describe(one.length) for one in result.answered]
        raw = [one.raw.database for one in result.answered]
        rolled_up = [one.rolled_up.database for one in result.answered]
        for label, colour, times, others in (
            ("from raw rows", "#8b93a3", raw, rolled_up),
            ("from roll-ups, as Tidemark does", "#1f77b4", rolled_up, raw),
        ):
            axes.plot(names, times, marker="o", color=colour, label=label, linewidth=2)
            for name, time, other in zip(names, times, others, strict=True):
                text = f"{time:,.0f}" if time >= 10 else f"{time:.2f}"
                # Lines rise to the right, so the space above left and below right of a point is free.
                aside, side = ((-3, 7), "right") if time > other else ((3, -16), "left")
                look = {"ha": side, "color": colour, "bbox": ON_WHITE}
                axes.annotate(text, (name, time), aside, textcoords="offset points", **look)
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter(TICKS)
        axes.set_title(f"{result.engine}, PostgreSQL {result.postgres}", fontsize=11)
        axes.set_xlabel("window length")
        axes.margins(x=0.12, y=0.2)
        axes.grid(axis="y", alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
    many[0].set_ylabel("database time, ms (log scale, less is better)")
    many[0].legend(loc="upper left", fontsize=9)
    readings = results[0].readings
    figure.suptitle(f"Exact min, max and mean of one of {SENSORS} sensors ({readings:,} readings)", fontsize=10)
    return figure
