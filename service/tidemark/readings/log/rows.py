"""Rows of `reading_log` as they come back from the server."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from tidemark.database.statements import statements
from tidemark.readings.arrays import Field, count_of, elements_of, fetch_columns, numbers_of, optional_of
from tidemark.readings.columns import Block

if TYPE_CHECKING:
    from tidemark.database.database import Connected


@dataclass(slots=True)
class Rows:
    """Rows of the log, in the order of their writing."""

    company_id: npt.NDArray[np.int32]
    """The company of each row."""
    readings: npt.NDArray[np.intp]
    """How many readings each row has."""
    block: Block
    """The readings of all rows one after the other; the last of a (series, instant) was written last."""


async def fetch_rows(connection: "Connected", first: int, last: int) -> Rows | None:
    """The rows of the transactions from the first to the last one, None where there are none."""
    return rows_of(await fetch_columns(connection, statements().log_rows, first=first, last=last))


def rows_of(columns: list[tuple[Field, ...]]) -> Rows | None:
    """What COPY has sent of the statement `log_rows`; None for no rows."""
    if not columns:
        return None
    company_id, series, starts, at, value, *optional = columns
    readings = np.array([count_of(field) for field in at])
    slices = np.array([count_of(field) for field in series])
    return Rows(
        numbers_of(company_id, "i4"),
        readings,
        Block(
            series_id=np.repeat(elements_of(series, "i4"), _slice_lengths(elements_of(starts, "i4"), slices, readings)),
            at=elements_of(at, "i8"),
            value=elements_of(value, "f8"),
            optional=optional_of(optional, readings),
        ),
    )


def _slice_lengths(
    starts: npt.NDArray[np.int32], slices: npt.NDArray[np.intp], readings: npt.NDArray[np.intp]
) -> npt.NDArray[np.intp]:
    """How many readings each slice has, of rows that have so many slices and readings."""
    before = np.cumsum(readings) - readings
    lengths: npt.NDArray[np.intp] = np.diff(starts - 1 + np.repeat(before, slices), append=readings.sum())
    return lengths
