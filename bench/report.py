"""The results of a scenario as tables, JSON and a plot, and which goals were reached."""

import os
import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
import psutil
from matplotlib.figure import Figure
from rich.console import Console
from rich.table import Table

RESULTS = Path(__file__).parent / "results"
WIDTH = 110
QUIET = 0.2
"""Number of processors that other work may use without a warning."""
TICKS = "{x:,.10g}"
"""Number format of axes: commas between thousands, and no more decimals than needed."""
ON_WHITE = {"facecolor": "white", "edgecolor": "none", "pad": 1.5}
"""The background of labels, so that lines do not run through them."""


@dataclass(frozen=True)
class Goal:
    """A goal: `value` must be at least or at most `bound`."""

    engine: str
    what: str
    value: float
    at_least: bool
    bound: float
    unit: str = ""

    @property
    def reached(self) -> bool:
        """Whether the goal is reached."""
        return self.value >= self.bound if self.at_least else self.value <= self.bound

    def __str__(self) -> str:
        word = "at least" if self.at_least else "at most"
        verdict = "reached" if self.reached else "NOT REACHED"
        goal = f"goal {word} {self.bound:g}{self.unit}"
        return f"{verdict:>11}  {self.engine}: {self.what} {self.value:.3g}{self.unit}, {goal}"


@dataclass
class Report:
    """The results of a scenario."""

    scenario: str
    tables: list[Table] = field(default_factory=list)
    goals: list[Goal] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    measured: dict[str, Any] = field(default_factory=dict)
    figure: Figure | None = None


def machine() -> dict[str, Any]:
    """A description of the machine and its load."""
    return {
        "measured_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "system": f"{platform.system()} {platform.machine()}, Python {platform.python_version()}",
        "processors": os.cpu_count(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "load_average_at_start": [round(one, 2) for one in os.getloadavg()],
    }


def table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> Table:
    """A table with text in the first column and figures in the others."""
    made = Table(title=title, title_justify="left", title_style="bold", min_width=60)
    for place, column in enumerate(columns):
        made.add_column(column, justify="right" if place else "left")
    for row in rows:
        made.add_row(*row)
    return made


def rounds(number: int) -> str:
    """A number of rounds, in words."""
    return "1 round" if number == 1 else f"{number:,} rounds"


def publish(report: Report, about: dict[str, Any]) -> None:
    """Print the tables, goals and notes, and write JSON and a plot to the results folder."""
    console = Console(width=WIDTH, highlight=False)
    for one in report.tables:
        console.print(one)
    for note in report.notes:
        console.print(note, markup=False)
    for goal in report.goals:
        console.print(str(goal), markup=False)
    RESULTS.mkdir(exist_ok=True)
    document = {
        "scenario": report.scenario,
        "machine": about,
        "goals": [{**asdict(goal), "reached": goal.reached} for goal in report.goals],
        "notes": report.notes,
        "measured": report.measured,
    }
    written = [RESULTS / f"{report.scenario}.json"]
    written[0].write_bytes(orjson.dumps(document, option=orjson.OPT_INDENT_2) + b"\n")
    if report.figure is not None:
        written.append(RESULTS / f"{report.scenario}.png")
        report.figure.savefig(written[1], dpi=120)
    console.print(f"Written: {', '.join(str(path) for path in written)}\n", markup=False, soft_wrap=True)
