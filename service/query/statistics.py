"""Exact min, max and mean of series over a window, whatever its length."""

from collections.abc import Sequence
from dataclasses import dataclass

from service.query.tiers import Tiers, plan
from service.query.window import EARLIEST, Window, instant, microseconds
from service.storage.database import Database
from service.storage.statements import statements


@dataclass(frozen=True, slots=True)
class Statistics:
    """What the readings of one series in a window come to; all None where there is no reading."""

    count: int
    minimum: float | None
    maximum: float | None
    mean: float | None


class StatisticsQuery:
    """Answers statistics; remembers the read line, which only moves forward, from one answer to the next."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._read_line = EARLIEST

    async def of(self, series_ids: Sequence[int], window: Window) -> dict[int, Statistics]:
        """The statistics of each series. Raises TidemarkError where the database is unavailable."""
        if not series_ids:
            return {}
        while True:
            assumed = self._read_line
            tiers = plan(window, assumed)
            bounds = {name: instant(getattr(tiers, name)) for name in Tiers.__slots__}
            async with self._database.snapshot() as connection:
                rows = await statements().statistics.rows(connection, series_ids=series_ids, **bounds)
                if rows[0]["has_late_hours"]:
                    rows = await statements().statistics_with_late_hours.rows(
                        connection, series_ids=series_ids, **bounds
                    )
            self._read_line = microseconds(rows[0]["read_line"])
            # A line further back than assumed: this is not the database that it was.
            if assumed <= self._read_line:
                return {
                    row["series_id"]: Statistics(
                        row["sample_count"],
                        row["value_min"],
                        row["value_max"],
                        _mean(row["value_sum"], row["sample_count"], row["value_min"], row["value_max"]),
                    )
                    for row in rows
                }


def _mean(total: float | None, count: int, minimum: float, maximum: float) -> float | None:
    # Rounding may carry the quotient past the extremes by a last digit; a mean lies between them.
    return None if total is None or count == 0 else min(max(total / count, minimum), maximum)
