"""Readings of the log as tests handle them: one by one."""

import struct
from collections.abc import Iterable, Sequence
from math import isnan
from typing import Any, TypeAlias

import asyncpg
from hypothesis import strategies as st
from tidemark.base.time import HOUR, LATEST
from tidemark.readings.columns import newest
from tidemark.readings.log.items import OwnedReading, gathered
from tidemark.readings.log.rows import Rows, fetch_rows
from tidemark.readings.log.run import COPIED, copied, run_of
from tidemark.readings.optional_columns import OPTIONAL, NumberColumn
from tidemark.readings.reading import Reading

NOW = 1_760_000_000_000_000
ALL = 2**62
"""Greater than every transaction id."""

Found: TypeAlias = dict[tuple[int, int], tuple[bytes | str | None, ...]]
"""By series and instant: the value and the optional columns, numbers to the last bit."""

numbers = st.floats(allow_nan=False) | st.sampled_from((0.0, -0.0, 1e150, -1e150, 5e-324, 24.21))
instants = st.sampled_from((0, NOW - 3 * HOUR, NOW - 2 * HOUR, NOW, NOW + 1, LATEST)) | st.integers(0, LATEST)
texts = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=20)


def single(company_id: int, series_id: int, at: int, value: float, **optional: float | str | None) -> OwnedReading:
    """A single reading, with these of the optional columns."""
    cells = tuple(optional.get(column.name) for column in OPTIONAL)
    return OwnedReading(company_id, series_id, Reading("sensor", at, value, cells))


@st.composite
def single_readings(draw: st.DrawFn) -> OwnedReading:
    """A reading of one of a few companies, each with a few series of its own."""
    company_id = draw(st.integers(1, 3))
    places = st.none() | numbers if draw(st.booleans()) else st.none()
    return single(
        company_id,
        company_id * 10 + draw(st.integers(0, 2)),
        draw(instants),
        draw(numbers),
        **{column.name: draw(places if isinstance(column, NumberColumn) else st.none() | texts) for column in OPTIONAL},
    )


def bits(cell: float | str | None) -> bytes | str | None:
    """A cell; a number to the last bit, and absent where it is NaN."""
    if isinstance(cell, float):
        return None if isnan(cell) else struct.pack("=d", cell)
    return cell


def last_of(items: Iterable[OwnedReading]) -> Found:
    """The readings that must be found once these are written in their order."""
    return {(series_id, one.at): tuple(map(bits, (float(one.value), *one.optional))) for _, series_id, one in items}


def winners(rows: Rows | None) -> Found:
    """The readings of rows of the log that win."""
    if rows is None:
        return {}
    block = rows.block.take(newest(rows.block))
    nothing = [None] * len(block)
    optional = [block.optional[one.name].tolist() if one.name in block.optional else nothing for one in OPTIONAL]
    columns: list[list[Any]] = [block.series_id.tolist(), block.at.tolist(), block.value.tolist(), *optional]
    return {(series_id, at): tuple(map(bits, cells)) for series_id, at, *cells in zip(*columns, strict=True)}


async def copy(
    connection: "asyncpg.Connection[asyncpg.Record]", readings: Sequence[OwnedReading], deadline: int
) -> None:
    """Append readings to the log, where the database's clock is before the deadline (microseconds since 1970)."""
    data = memoryview(copied(run_of(*gathered(readings), NOW), deadline))
    await connection.copy_to_table("reading_log", source=data, columns=COPIED, format="binary")  # type: ignore[arg-type]


async def logged(url: str) -> Found:
    """The readings of a database's log that win."""
    connection = await asyncpg.connect(url)
    found = winners(await fetch_rows(connection, 0, ALL))
    await connection.close()
    return found
