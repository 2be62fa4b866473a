"""The rows of a few single readings, without numpy, which takes a tenth of a millisecond and more for however few.

They are the same bytes as `run.copied` makes.
"""

from collections.abc import Iterable, Sequence
from itertools import groupby
from struct import Struct
from typing import Any

from tidemark.readings.arrays import TYPES, array_start
from tidemark.readings.copy_format import HEADER, NULL, POSTGRES_EPOCH, TRAILER, text_field
from tidemark.readings.log.items import OwnedReading
from tidemark.readings.log.run import COPIED, LATE
from tidemark.readings.optional_columns import OPTIONAL, NumberColumn, OptionalValue

FEW = 150
"""From about this number on numpy is faster. They are fewer than a row has at most."""

_ROW = Struct("!hiqiiiiiiiiiqiq")  # each field's length, then its value
_INT4, _INT8, _FLOAT8 = Struct("!ii"), Struct("!iq"), Struct("!id")


def copied_few(items: Sequence[OwnedReading], now: int, deadline: int) -> bytes:
    """The rows of readings in the order of their arrival; see `run.run_of` and `run.copied`."""
    late = now - LATE
    newest = {
        (company_id, reading.at < late, series_id, reading.at): reading for company_id, series_id, reading in items
    }
    rows = groupby(sorted(newest), key=lambda key: key[:2])
    parts = [HEADER]
    for (company_id, _), keys in rows:
        sorted_keys = list(keys)
        series_ids = [series_id for _, _, series_id, _ in sorted_keys]
        instants = [at for *_, at in sorted_keys]
        readings = [newest[key] for key in sorted_keys]
        starts = [place for place, one in enumerate(series_ids, 1) if place == 1 or one != series_ids[place - 2]]
        parts += (
            _ROW.pack(
                len(COPIED),
                *(8, deadline - POSTGRES_EPOCH),
                *(4, company_id),
                *(4, len(instants)),
                *(4, series_ids[0]),
                *(4, series_ids[-1]),
                *(8, min(instants) - POSTGRES_EPOCH),
                *(8, max(instants) - POSTGRES_EPOCH),
            ),
            _array("i4", _INT4, [series_ids[place - 1] for place in starts]),
            _array("i4", _INT4, starts),
            _array("i8", _INT8, instants),
            _array("f8", _FLOAT8, [one.value for one in readings]),
        )
        columns = zip(*(one.optional for one in readings), strict=True)
        parts += (
            _number_array(cells) if isinstance(column, NumberColumn) else _text_array(cells)
            for column, cells in zip(OPTIONAL, columns, strict=True)
        )
    return b"".join([*parts, TRAILER])


def _array(kind: str, element: Struct, values: list[Any]) -> bytes:
    size = element.size - 4
    body = b"".join([element.pack(size, value) for value in values])
    return array_start(TYPES[kind], len(body), len(values)) + body


def _number_array(cells: Sequence[OptionalValue]) -> bytes:
    return _with_nulls("f8", cells, (NULL if cell is None else _FLOAT8.pack(8, cell) for cell in cells))


def _text_array(cells: Sequence[OptionalValue]) -> bytes:
    return _with_nulls("text", cells, map(text_field, cells))


def _with_nulls(kind: str, cells: Sequence[OptionalValue], elements: Iterable[bytes]) -> bytes:
    nulls = cells.count(None)
    if nulls == len(cells):
        return NULL
    body = b"".join(elements)
    return array_start(TYPES[kind], len(body), len(cells), has_nulls=nulls > 0) + body
