"""A run: the readings of one commit, sorted, and the rows of `reading_log` that they become.

Rows travel in PostgreSQL's binary COPY format (see `copy_format`) in both directions. Arrays are as `array_send` writes
them: the number of dimensions, whether there are nulls, the type of the elements, the count, the lower bound, then each
element as a field. Instants in timestamps are microseconds since 2000-01-01 UTC, those in arrays microseconds since
1970.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain, pairwise
from struct import Struct
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from tidemark.base.time import HOUR
from tidemark.readings.columns import Block, newest
from tidemark.readings.copy_format import HEADER, NULL, POSTGRES_EPOCH, TRAILER
from tidemark.readings.optional_columns import OPTIONAL, Array, NumberColumn, OptionalColumn

Ids: TypeAlias = npt.NDArray[np.int32]
Places: TypeAlias = npt.NDArray[np.intp]
Fields: TypeAlias = tuple[Iterable[bytes], Iterable[memoryview | bytes]]
"""The same field of consecutive rows: how each begins (its length, for an array also what it is of), and the rest."""

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

_LENGTH = Struct("!i")
_ARRAY = Struct("!iiiiii")  # length, dimensions, whether there are nulls, type, elements, lower bound
_ARRAY_BYTES = _ARRAY.size - _LENGTH.size
_TYPES = {"i4": 23, "i8": 20, "f8": 701}
_TEXT = 25


@dataclass(slots=True)
class Run:
    """Readings of distinct (series, instant), sorted by company, those that are late last, series and instant."""

    company_id: Ids
    """Of each reading."""
    block: Block
    starts: Places
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
    return Run(company_id[order], block.take(order), _row_starts(group))


def _row_starts(group: npt.NDArray[Any]) -> Places:
    """Where rows start: each group of readings that stand together is cut evenly."""
    starts = _changes(group)
    sizes = np.diff(starts, append=len(group))
    rows = -(-sizes // ROW_READINGS)
    of_row = np.repeat(np.arange(len(starts)), rows)
    row = np.arange(len(of_row)) - (np.cumsum(rows) - rows)[of_row]
    result: Places = starts[of_row] + row * sizes[of_row] // rows[of_row]
    return result


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
        _arrays(block.series_id[slice_starts], slice_bounds),
        _arrays((slice_starts - starts[row_of_slice] + 1).astype(np.int32), slice_bounds),
        _arrays(block.at, bounds),
        _arrays(block.value, bounds),
        *(_optional_arrays(block, column, bounds) for column in OPTIONAL),
    ]
    rows = zip(_summaries(run, deadline, xid, bounds), *chain.from_iterable(fields), strict=True)
    return b"".join([HEADER, *chain.from_iterable(rows), TRAILER])


def _slice_starts(run: Run) -> Places:
    """Where the readings of a series start in a row."""
    first = np.append(True, run.block.series_id[1:] != run.block.series_id[:-1])
    first[run.starts] = True
    return np.flatnonzero(first)


def _summaries(run: Run, deadline: int, xid: int | None, bounds: list[int]) -> list[memoryview]:
    """How each row begins: the number of its fields, and those that are single numbers."""
    block, starts = run.block, run.starts
    values: list[tuple[str, Any]] = [
        *([] if xid is None else [("i8", xid)]),
        ("i8", deadline - POSTGRES_EPOCH),
        ("i4", run.company_id[starts]),
        ("i4", np.diff(bounds)),
        ("i4", block.series_id[starts]),
        ("i4", block.series_id[np.array(bounds[1:]) - 1]),
        ("i8", np.minimum.reduceat(block.at, starts) - POSTGRES_EPOCH),
        ("i8", np.maximum.reduceat(block.at, starts) - POSTGRES_EPOCH),
    ]
    layout = [("fields", ">i2")]
    for place, (kind, _) in enumerate(values):
        layout += [(f"length{place}", ">i4"), (f"value{place}", f">{kind}")]
    rows = np.empty(len(starts), dtype=layout)
    rows["fields"] = len(COPIED if xid is None else REWRITTEN)
    for place, (kind, value) in enumerate(values):
        rows[f"length{place}"] = int(kind[1])
        rows[f"value{place}"] = value
    size = rows.dtype.itemsize
    return _cut(rows.tobytes(), [size * place for place in range(len(rows) + 1)])


def _elements(values: npt.NDArray[Any]) -> npt.NDArray[np.void]:
    """Array elements, each as its length and its bytes."""
    kind = values.dtype.str[1:]
    elements = np.empty(len(values), dtype=[("length", ">i4"), ("value", f">{kind}")])
    elements["length"] = values.itemsize
    elements["value"] = values
    return elements


def _arrays(values: npt.NDArray[Any], bounds: list[int]) -> Fields:
    elements = _elements(values)
    size, kind = elements.dtype.itemsize, _TYPES[values.dtype.str[1:]]
    headers = [
        _ARRAY.pack(_ARRAY_BYTES + size * (end - start), 1, 0, kind, end - start, 1) for start, end in pairwise(bounds)
    ]
    return headers, _cut(elements.tobytes(), [size * bound for bound in bounds])


def _optional_arrays(block: Block, column: OptionalColumn, bounds: list[int]) -> Fields:
    """Arrays with nulls for what is absent, null where a row has nothing else."""
    if column.name not in block.optional:
        rows = len(bounds) - 1
        return [NULL] * rows, [b""] * rows
    values = block.optional[column.name]
    return _number_arrays(values, bounds) if isinstance(column, NumberColumn) else _text_arrays(values, bounds)


def _number_arrays(values: Array, bounds: list[int]) -> Fields:
    absent = np.isnan(values)
    if not absent.any():
        return _arrays(values, bounds)
    elements = _elements(values)
    elements["length"][absent] = -1
    cells = elements.view(np.uint8).reshape(len(values), -1)
    kept = np.ones(cells.shape, dtype=bool)
    kept[absent, _LENGTH.size :] = False
    counts = np.add.reduceat(absent, bounds[:-1], dtype=np.intp).tolist()
    sizes = [
        cells.shape[1] * (end - start - count) + _LENGTH.size * count
        for (start, end), count in zip(pairwise(bounds), counts, strict=True)
    ]
    return _with_nulls(_cut(cells[kept].tobytes(), _ends(sizes)), _TYPES["f8"], counts, bounds)


def _text_arrays(texts: Array, bounds: list[int]) -> Fields:
    elements = [NULL if text is None else _field(text.encode()) for text in texts.tolist()]
    bodies = [b"".join(elements[start:end]) for start, end in pairwise(bounds)]
    counts = [elements[start:end].count(NULL) for start, end in pairwise(bounds)]
    return _with_nulls(bodies, _TEXT, counts, bounds)


def _with_nulls(bodies: Sequence[memoryview | bytes], kind: int, nulls: list[int], bounds: list[int]) -> Fields:
    """Arrays of so many nulls each; null where there is nothing else."""
    sizes = [end - start for start, end in pairwise(bounds)]
    headers = [
        NULL if count == size else _ARRAY.pack(_ARRAY_BYTES + len(body), 1, int(count > 0), kind, size, 1)
        for body, count, size in zip(bodies, nulls, sizes, strict=True)
    ]
    return headers, [b"" if header is NULL else body for header, body in zip(headers, bodies, strict=True)]


def _field(data: bytes) -> bytes:
    return _LENGTH.pack(len(data)) + data


def _cut(data: bytes, bounds: list[int]) -> list[memoryview]:
    view = memoryview(data)
    return [view[start:end] for start, end in pairwise(bounds)]


def _ends(sizes: list[int]) -> list[int]:
    return [0, *np.cumsum(sizes).tolist()]


def _changes(values: npt.NDArray[Any]) -> Places:
    """Where a value differs from the one before it, the first included."""
    return np.flatnonzero(np.append(True, values[1:] != values[:-1]))
