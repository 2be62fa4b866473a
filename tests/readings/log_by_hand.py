"""Runs of the log written by hand, and all readings of store and log by plain recomputation: the last write wins."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Any, TypeAlias

from tidemark.base.time import instant, microseconds

if TYPE_CHECKING:
    import asyncpg

    Connection: TypeAlias = "asyncpg.Connection[Any]"

Key: TypeAlias = tuple[int, int]
"""Series and instant, in microseconds since 1970 UTC."""


@dataclass(frozen=True, slots=True)
class Stored:
    """What a reading says."""

    value: float
    latitude: float | None = None
    longitude: float | None = None
    x_axis_value: float | None = None
    metadata: str | None = None


_DETAILS = ("latitude", "longitude", "x_axis_value", "metadata")
_APPEND = """
    INSERT INTO reading_log (
        xid, deadline, company_id, readings, first_series, last_series, least_at, greatest_at,
        series, starts, at, value, latitude, longitude, x_axis_value, metadata
    )
    VALUES (
        coalesce($1::text::xid8, pg_current_xact_id()), clock_timestamp() + interval '1 hour', 1,
        $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14
    )
"""


_STORED = """
    SELECT s.series_id, r.*
    FROM sensor AS s
    CROSS JOIN LATERAL stored_readings(s.series_id, 'epoch', 'infinity') AS r
    WHERE $1::integer IS NULL OR s.company_id = $1
"""
_LOGGED = "SELECT * FROM reading_log WHERE $1::integer IS NULL OR company_id = $1 ORDER BY xid"


async def append(
    connection: "Connection", readings: Mapping[Key, Stored], *, xid: int | None = None, size: int = 1000
) -> None:
    """Append a run in rows of so many readings, in one transaction; under the id of another one where it is given."""
    keys = sorted(readings)
    rows = [keys[start : start + size] for start in range(0, len(keys), size)]
    async with connection.transaction():
        for row in rows:
            await connection.execute(_APPEND, None if xid is None else str(xid), *_row(row, readings))


def _row(keys: Sequence[Key], readings: Mapping[Key, Stored]) -> tuple[Any, ...]:
    series = [one for one, _ in groupby(series for series, _ in keys)]
    starts = [place for place, key in enumerate(keys, 1) if place == 1 or keys[place - 2][0] != key[0]]
    at = [at for _, at in keys]
    details = []
    for name in _DETAILS:
        column = [getattr(readings[key], name) for key in keys]
        details.append(None if all(one is None for one in column) else column)
    bounds = (series[0], series[-1], instant(min(at)), instant(max(at)))
    return (len(keys), *bounds, series, starts, at, [readings[key].value for key in keys], *details)


async def everything(connection: "Connection", company_id: int | None = None) -> dict[Key, Stored]:
    """All readings (of a company's sensors) as they are in the snapshot of the connection's transaction."""
    rows = await connection.fetch(_STORED, company_id)
    found = {(row["series_id"], microseconds(row["ts"])): Stored(*list(row)[2:]) for row in rows}
    for run in await connection.fetch(_LOGGED, company_id):
        found |= readings_of(run)
    return found


def readings_of(run: "asyncpg.Record") -> dict[Key, Stored]:
    """The readings of a row of the log."""
    finishes = [*(start - 1 for start in run["starts"][1:]), run["readings"]]
    return {
        (series, run["at"][place]): Stored(
            run["value"][place], *(None if run[name] is None else run[name][place] for name in _DETAILS)
        )
        for series, start, finish in zip(run["series"], run["starts"], finishes, strict=True)
        for place in range(start - 1, finish)
    }
