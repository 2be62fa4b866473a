"""A run: the readings of one commit, sorted, and the rows of `reading_log` that they become.

Rows travel in PostgreSQL's binary COPY format (see `copy_format` and `arrays`) in both directions. Instants in
timestamps are microseconds since 2000-01-01 UTC, those in arrays microseconds since 1970.
"""

from dataclasses import dataclass
from itertools import chain
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from tidemark.base.time import HOUR
from tidemark.readings.arrays import Fields, arrays, number_fields, optional_arrays, row_starts
from tidemark.readings.columns import Block, Positions, newest, starts_of
from tidemark.readings.copy_format import HEADER, POSTGRES_EPOCH, TRAILER
from tidemark.readings.optional_columns import OPTIONAL

Ids: TypeAlias = npt.NDArray[np.int32]

ROW_READINGS = 1_000
"""About how many readings a row has at most: readers take whole rows, and each row costs the writer some µs."""
LATE = 2 * HOUR
"""Readings older than this have rows of their own, so that the others' least instant stays near to now."""

COPIED = (
    *("deadline", "company_id", "readings", "first_series", "last_series", "least_at", "greatest_at"),
    *("series", "starts", "at", "value", *(column.name for column in OPTIONAL)),
)
"""The columns of `reading_log` that `copied` fills, in its order."""
REWRITTEN = ("xid", *COPIED)
"""The same where it is told the transaction, as for a run that is merged of others."""


@dataclass(slots=True)
class Run:
    """Readings of distinct (series, instant), sorted by company, those that are late last, series and instant."""

    company_id: Ids
    """Of each reading."""
    block: Block
    starts: Positions
    """Where each row of the log starts; no row is of two companies, or of late readings and others."""

    def __len__(self) -> int:
        return len(self.block)


def run_of(company_id: Ids, block: Block, now: int) -> Run:
    """The run of readings in the order of their arrival, one at least, of which the last of a (series, instant) wins.

    A series is of one company. `now` is in microseconds since 1970.
    """
    order = newest(block)
    # Few numbers, of 16 bits where possible: those numpy sorts in linear time.
    group = (company_id * np.int64(2) + (block.at < now - LATE))[order]
    if (group != group[0]).any():
        kinds, of_reading = np.unique(group, return_inverse=True)
        by_group = np.argsort(of_reading.astype(np.min_scalar_type(len(kinds))), kind="stable")
        order, group = order[by_group], group[by_group]
    return Run(company_id[order], block.take(order), row_starts(group, ROW_READINGS))


def copied(run: Run, deadline: int, xid: int | None = None) -> bytes:
    """The rows of a run as COPY takes them into the columns `COPIED`, or `REWRITTEN` where `xid` is given.

    `deadline` is when the writer gives the append up, by the database's clock, in microseconds since 1970.
    """
    block, starts = run.block, run.starts
    bounds = [*starts.tolist(), len(run)]
    slice_starts = _slice_starts(run)
    slice_bounds = [*np.searchsorted(slice_starts, starts).tolist(), len(slice_starts)]
    row_of_slice = np.repeat(np.arange(len(starts)), np.diff(slice_bounds))
    fields: list[Fields] = [
        arrays(block.series_id[slice_starts], slice_bounds),
        arrays((slice_starts - starts[row_of_slice] + 1).astype(np.int32), slice_bounds),
        arrays(block.at, bounds),
        arrays(block.value, bounds),
        *(optional_arrays(block, column, bounds) for column in OPTIONAL),
    ]
    rows = zip(_summaries(run, deadline, xid, bounds), *chain.from_iterable(fields), strict=True)
    return b"".join([HEADER, *chain.from_iterable(rows), TRAILER])


def _slice_starts(run: Run) -> Positions:
    """Where the readings of a series start in a row."""
    first = np.zeros(len(run), dtype=bool)
    first[starts_of(run.block.series_id)] = first[run.starts] = True
    return np.flatnonzero(first)


def _summaries(run: Run, deadline: int, xid: int | None, bounds: list[int]) -> list[memoryview]:
    """How each row begins: the number of its fields, and those that are single numbers."""
    block, starts = run.block, run.starts
    one = np.ones(len(starts), dtype=np.int64)
    values: list[tuple[str, Any]] = [
        *([] if xid is None else [("i8", xid * one)]),
        ("i8", (deadline - POSTGRES_EPOCH) * one),
        ("i4", run.company_id[starts]),
        ("i4", np.diff(bounds)),
        ("i4", block.series_id[starts]),
        ("i4", block.series_id[np.array(bounds[1:]) - 1]),
        ("i8", np.minimum.reduceat(block.at, starts) - POSTGRES_EPOCH),
        ("i8", np.maximum.reduceat(block.at, starts) - POSTGRES_EPOCH),
    ]
    return number_fields(len(COPIED if xid is None else REWRITTEN), values)
