"""The rows of a few single readings, without numpy, which takes a tenth of a millisecond and more for however few.

They are the same bytes as `run.copied` makes.
"""

from collections.abc import Sequence
from itertools import groupby
from struct import Struct

from tidemark.readings.arrays import TYPES, array_start
from tidemark.readings.copy_format import HEADER, NULL, POSTGRES_EPOCH, TRAILER, text_field
from tidemark.readings.log.items import OwnedReading
from tidemark.readings.log.run import COPIED, LATE
from tidemark.readings.optional_columns import OPTIONAL, NumberColumn, OptionalColumn, OptionalValue

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
        starts: dict[int, int] = {}
        for place, series_id in enumerate(series_ids, 1):
            starts.setdefault(series_id, place)
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
            _array("i4", [_INT4.pack(4, series_id) for series_id in starts]),
            _array("i4", [_INT4.pack(4, start) for start in starts.values()]),
            _array("i8", [_INT8.pack(8, at) for at in instants]),
            _array("f8", [_FLOAT8.pack(8, one.value) for one in readings]),
        )
        columns = zip(*(one.optional for one in readings), strict=True)
        parts += (_optional_array(column, cells) for column, cells in zip(OPTIONAL, columns, strict=True))
    return b"".join([*parts, TRAILER])


def _optional_array(column: OptionalColumn, cells: Sequence[OptionalValue]) -> bytes:
    if isinstance(column, NumberColumn):
        return _array("f8", [NULL if cell is None else _FLOAT8.pack(8, cell) for cell in cells])
    return _array("text", [text_field(cell) for cell in cells])


def _array(kind: str, elements: list[bytes]) -> bytes:
    """An array of fields; null where there is nothing else."""
    nulls = elements.count(NULL)
    if nulls == len(elements):
        return NULL
    body = b"".join(elements)
    return array_start(TYPES[kind], len(body), len(elements), has_nulls=nulls > 0) + body
