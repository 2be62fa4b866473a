"""Exact minimum, maximum and mean of series in a window of any length."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tidemark.base.time import EARLIEST, Window, microseconds
from tidemark.database.database import Database
from tidemark.database.statements import statements
from tidemark.readings.tiers import plan

if TYPE_CHECKING:
    from tidemark.database.database import Connected


@dataclass(frozen=True, slots=True)
class Statistics:
    """The statistics of one series in a window; without readings, the count is 0 and the others are None."""

    count: int
    minimum: float | None
    maximum: float | None
    mean: float | None


class StatisticsQuery:
    """Queries statistics, and remembers the read line between queries."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._read_line = EARLIEST

    async def of(self, series_ids: Sequence[int], window: Window) -> dict[int, Statistics]:
        """The statistics of each series. Raises TidemarkError if the database is unavailable."""
        async with self._database.snapshot() as connection:
            found, self._read_line = await statistics(connection, series_ids, window, self._read_line)
        return found


async def statistics(
    connection: "Connected", series_ids: Sequence[int], window: Window, read_line: int
) -> tuple[dict[int, Statistics], int]:
    """The statistics of each series, and the current read line.

    `read_line` is used for planning: any present or past read line, in microseconds since 1970 UTC. Each statement of
    the connection must use one snapshot for planning and execution.
    """
    if not series_ids:
        return {}, read_line
    bounds = plan(window, read_line).instants()
    rows = await statements().statistics.rows(connection, series_ids=series_ids, **bounds)
    if not rows[0]["is_exact"]:
        rows = await statements().exact_statistics.rows(connection, series_ids=series_ids, **bounds)
    line = microseconds(rows[0]["read_line"])
    if line < read_line:
        # The read line never moves back, so this is a different database.
        return await statistics(connection, series_ids, window, line)
    found = {
        row["series_id"]: Statistics(
            row["sample_count"],
            row["value_min"],
            row["value_max"],
            mean_of(row["value_sum"], row["sample_count"], row["value_min"], row["value_max"]),
        )
        for row in rows
    }
    return found, line


def mean_of(total: float | None, count: int, minimum: float, maximum: float) -> float | None:
    """The mean of `count` values with this sum; None without values."""
    # A mean lies between the extremes, but rounding may put the quotient just outside.
    return None if total is None or count == 0 else min(max(total / count, minimum), maximum)
