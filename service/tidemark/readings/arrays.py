"""Arrays of readings in PostgreSQL's binary COPY format (see `copy_format`), from and to numpy.

Arrays are as `array_send` writes them: the number of dimensions, whether there are nulls, the type of the elements, the
count, the lower bound, then each element as a field.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, pairwise
from struct import Struct
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt

from tidemark.readings.columns import Block, Positions, starts_of
from tidemark.readings.copy_format import HEADER, NULL, text_fields
from tidemark.readings.optional_columns import OPTIONAL, Array, NumberColumn, OptionalColumn

if TYPE_CHECKING:
    from tidemark.database.database import Connected
    from tidemark.database.statements import Statement

Fields: TypeAlias = tuple[Iterable[bytes], Iterable[memoryview | bytes]]
"""The same field of consecutive rows: how each begins (its length, for an array also what it is of), and the rest."""
Field: TypeAlias = memoryview | None

_ARRAY_HEADER_BYTES = 20
_COUNT, _LENGTH = Struct("!h"), Struct("!i")
_ARRAY = Struct("!iiiiii")  # length, dimensions, whether there are nulls, type, elements, lower bound
_ARRAY_BYTES = _ARRAY.size - _LENGTH.size
TYPES = {"i4": 23, "i8": 20, "f8": 701, "text": 25}
"""PostgreSQL's numbers of the types of elements."""
TIMESTAMPTZ = 1184


def number_fields(field_count: int, values: Sequence[tuple[str, Any]]) -> list[memoryview]:
    """How each row begins that has so many fields: with these numbers, each a type (such as `i8`) and the column."""
    layout = [("fields", ">i2")]
    for place, (kind, _) in enumerate(values):
        layout += [(f"length{place}", ">i4"), (f"value{place}", f">{kind}")]
    rows = np.empty(len(values[0][1]), dtype=layout)
    rows["fields"] = field_count
    for place, (kind, value) in enumerate(values):
        rows[f"length{place}"] = int(kind[1])
        rows[f"value{place}"] = value
    size = rows.dtype.itemsize
    return _cut(rows.tobytes(), [size * place for place in range(len(rows) + 1)])


def row_starts(group: npt.NDArray[Any], most: int) -> Positions:
    """Where rows of at most so many readings start, if each group of readings that stand together is cut evenly."""
    starts = starts_of(group)
    sizes = np.diff(starts, append=len(group))
    rows = -(-sizes // most)
    of_row = np.repeat(np.arange(len(starts)), rows)
    row = np.arange(len(of_row)) - (np.cumsum(rows) - rows)[of_row]
    result: Positions = starts[of_row] + row * sizes[of_row] // rows[of_row]
    return result


def array_start(kind: int, size: int, count: int, *, has_nulls: bool = False) -> bytes:
    """How the field of an array begins whose elements are so many and together have this size in bytes."""
    return _ARRAY.pack(_ARRAY_BYTES + size, 1, has_nulls, kind, count, 1)


def arrays(values: npt.NDArray[Any], bounds: list[int], kind: int | None = None) -> Fields:
    """Arrays of numbers; `kind` is the number of the elements' type, if it is not that of the numbers."""
    elements = _elements(values)
    size, kind = elements.dtype.itemsize, kind or TYPES[values.dtype.str[1:]]
    headers = [array_start(kind, size * (end - start), end - start) for start, end in pairwise(bounds)]
    return headers, _cut(elements.tobytes(), [size * bound for bound in bounds])


def without(fields: Fields, absent: Sequence[bool]) -> Fields:
    """The same fields, but null where they are absent."""
    starts, rests = fields
    return (
        [NULL if gone else start for start, gone in zip(starts, absent, strict=True)],
        [b"" if gone else rest for rest, gone in zip(rests, absent, strict=True)],
    )


def optional_arrays(block: Block, column: OptionalColumn, bounds: list[int]) -> Fields:
    """Arrays with nulls for what is absent, null where a row has nothing else."""
    if column.name not in block.optional:
        rows = len(bounds) - 1
        return [NULL] * rows, [b""] * rows
    values = block.optional[column.name]
    return _number_arrays(values, bounds) if isinstance(column, NumberColumn) else _text_arrays(values, bounds)


def _number_arrays(values: Array, bounds: list[int]) -> Fields:
    absent = np.isnan(values)
    if not absent.any():
        return arrays(values, bounds)
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
    return _with_nulls(_cut(cells[kept].tobytes(), _ends(sizes)), TYPES["f8"], counts, bounds)


def _text_arrays(texts: Array, bounds: list[int]) -> Fields:
    elements = text_fields(texts)
    bodies = [b"".join(elements[start:end]) for start, end in pairwise(bounds)]
    counts = [elements[start:end].count(NULL) for start, end in pairwise(bounds)]
    return _with_nulls(bodies, TYPES["text"], counts, bounds)


def _with_nulls(bodies: Sequence[memoryview | bytes], kind: int, nulls: list[int], bounds: list[int]) -> Fields:
    """Arrays of so many nulls each; null where there is nothing else."""
    sizes = [end - start for start, end in pairwise(bounds)]
    headers = [
        NULL if count == size else array_start(kind, len(body), size, has_nulls=count > 0)
        for body, count, size in zip(bodies, nulls, sizes, strict=True)
    ]
    return headers, [b"" if header is NULL else body for header, body in zip(headers, bodies, strict=True)]


def _elements(values: npt.NDArray[Any]) -> npt.NDArray[np.void]:
    """Array elements, each as its length and its bytes."""
    kind = values.dtype.str[1:]
    elements = np.empty(len(values), dtype=[("length", ">i4"), ("value", f">{kind}")])
    elements["length"] = values.itemsize
    elements["value"] = values
    return elements


def _cut(data: bytes, bounds: list[int]) -> list[memoryview]:
    view = memoryview(data)
    return [view[start:end] for start, end in pairwise(bounds)]


def _ends(sizes: list[int]) -> list[int]:
    return [0, *np.cumsum(sizes).tolist()]


async def fetch_columns(connection: "Connected", statement: "Statement", **values: Any) -> list[tuple[Field, ...]]:
    """The columns of what a statement returns; none if it returns no rows."""
    return columns_of(await statement.copy(connection, **values))


def columns_of(data: bytes) -> list[tuple[Field, ...]]:
    """The fields of each column of what COPY has sent; an empty list if there are no rows."""
    return list(zip(*_rows(data), strict=True))


def optional_of(columns: Iterable[Sequence[Field]], readings: npt.NDArray[np.intp]) -> dict[str, Array]:
    """The optional columns of rows with so many readings each, of which these are the arrays, in their order."""
    return {
        column.name: _numbers(arrays, readings) if isinstance(column, NumberColumn) else _texts(arrays, readings)
        for column, arrays in zip(OPTIONAL, columns, strict=True)
        if any(array is not None for array in arrays)
    }


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


def count_of(array: Field) -> int:
    assert array is not None  # such as the schema says NOT NULL of
    return int(_LENGTH.unpack_from(array, 12)[0])


def numbers_of(fields: Sequence[Field], kind: str) -> npt.NDArray[Any]:
    """Fields that are single numbers of a type such as `i8`, none of them null."""
    return np.frombuffer(b"".join(field for field in fields if field is not None), dtype=f">{kind}").astype(kind)


def elements_of(arrays: Sequence[Field], kind: str) -> npt.NDArray[Any]:
    """The elements of arrays that have no nulls, one after the other."""
    data = b"".join(array[_ARRAY_HEADER_BYTES:] for array in arrays if array is not None)
    return np.frombuffer(data, dtype=[("length", ">i4"), ("value", f">{kind}")])["value"].astype(kind)


def _numbers(arrays: Sequence[Field], readings: npt.NDArray[np.intp]) -> Array:
    whole = np.full(readings.sum(), np.nan)
    whole[np.repeat([array is not None for array in arrays], readings)] = elements_of(arrays, "f8")
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
