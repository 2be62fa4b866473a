"""Rows of `reading_log` as they come back from the server."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from struct import Struct
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt

from tidemark.database.statements import statements
from tidemark.readings.columns import Block
from tidemark.readings.copy_format import HEADER
from tidemark.readings.optional_columns import OPTIONAL, Array, NumberColumn

if TYPE_CHECKING:
    from tidemark.database.database import Connected

Field: TypeAlias = memoryview | None

_ARRAY_HEADER_BYTES = 20
_COUNT, _LENGTH = Struct("!h"), Struct("!i")


@dataclass(slots=True)
class Rows:
    """Rows of the log, in the order of their writing."""

    xid: npt.NDArray[np.int64]
    """The transaction of each row, ascending."""
    company_id: npt.NDArray[np.int32]
    """The company of each row."""
    readings: npt.NDArray[np.intp]
    """How many readings each row has."""
    block: Block
    """The readings of all rows one after the other; the last of a (series, instant) was written last."""


async def fetch_rows(connection: "Connected", first: int, last: int) -> Rows | None:
    """The rows of the transactions from the first to the last one, None where there are none."""
    return rows_of(await statements().log_rows.copy(connection, first=first, last=last))


def rows_of(data: bytes) -> Rows | None:
    """What COPY has sent of the statement `log_rows`, in its binary format (see `run`); None for no rows."""
    columns = list(zip(*_rows(data), strict=True))
    if not columns:
        return None
    xid, company_id, series, starts, at, value, *optional = columns
    readings = np.array([_count(field) for field in at])
    slices = np.array([_count(field) for field in series])
    return Rows(
        np.frombuffer(b"".join(xid), dtype=">i8").astype(np.int64),
        np.frombuffer(b"".join(company_id), dtype=">i4").astype(np.int32),
        readings,
        Block(
            series_id=np.repeat(_elements(series, "i4"), _slice_lengths(_elements(starts, "i4"), slices, readings)),
            at=_elements(at, "i8"),
            value=_elements(value, "f8"),
            optional={
                column.name: _numbers(arrays, readings)
                if isinstance(column, NumberColumn)
                else _texts(arrays, readings)
                for column, arrays in zip(OPTIONAL, optional, strict=True)
                if any(array is not None for array in arrays)
            },
        ),
    )


def _rows(data: bytes) -> Iterator[list[Field]]:
    view, at = memoryview(data), len(HEADER)
    while (count := _COUNT.unpack_from(data, at)[0]) >= 0:
        at += _COUNT.size
        row: list[Field] = []
        for _ in range(count):
            (length,) = _LENGTH.unpack_from(data, at)
            at += _LENGTH.size
            row.append(None if length < 0 else view[at : (at := at + length)])
        yield row


def _count(array: Field) -> int:
    assert array is not None  # such as the schema says NOT NULL of
    return int(_LENGTH.unpack_from(array, 12)[0])


def _elements(arrays: Sequence[Field], kind: str) -> npt.NDArray[Any]:
    """The elements of arrays that have no nulls, one after the other."""
    data = b"".join(array[_ARRAY_HEADER_BYTES:] for array in arrays if array is not None)
    return np.frombuffer(data, dtype=[("length", ">i4"), ("value", f">{kind}")])["value"].astype(kind)


def _slice_lengths(
    starts: npt.NDArray[np.int32], slices: npt.NDArray[np.intp], readings: npt.NDArray[np.intp]
) -> npt.NDArray[np.intp]:
    """How many readings each slice has, of rows that have so many slices and readings."""
    before = np.cumsum(readings) - readings
    lengths: npt.NDArray[np.intp] = np.diff(starts - 1 + np.repeat(before, slices), append=readings.sum())
    return lengths


def _numbers(arrays: Sequence[Field], readings: npt.NDArray[np.intp]) -> Array:
    whole = np.full(readings.sum(), np.nan)
    whole[np.repeat([array is not None for array in arrays], readings)] = _elements(arrays, "f8")
    return whole


def _texts(arrays: Sequence[Field], readings: npt.NDArray[np.intp]) -> Array:
    texts = chain.from_iterable(
        [None] * count if array is None else _texts_of(array)
        for array, count in zip(arrays, readings.tolist(), strict=True)
    )
    return np.fromiter(texts, dtype=object, count=readings.sum())


def _texts_of(array: memoryview) -> Iterator[str | None]:
    at = _ARRAY_HEADER_BYTES
    while at < len(array):
        (length,) = _LENGTH.unpack_from(array, at)
        at += _LENGTH.size
        yield None if length < 0 else str(array[at : (at := at + length)], "utf-8")
