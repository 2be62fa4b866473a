"""Readings as COPY sends them in PostgreSQL's binary format, back into columns; see `readings.copy_format`."""

from struct import Struct
from typing import Any

import numpy as np
import numpy.typing as npt

from tidemark.readings.columns import Block
from tidemark.readings.copy_format import HEADER, POSTGRES_EPOCH, TRAILER
from tidemark.readings.optional_columns import OPTIONAL, Array, NumberColumn

_LENGTH = Struct("!i")
_NUMBERS = [column.name for column in OPTIONAL if isinstance(column, NumberColumn)]
_TEXTS = [column.name for column in OPTIONAL if not isinstance(column, NumberColumn)]
_NUMBERS_LAYOUT: list[Any] = [
    *[("fields", ">i2"), ("n0", ">i4"), ("series_id", ">i4"), ("n1", ">i4"), ("at", ">i8"), ("n2", ">i4")],
    ("value", ">f8"),
    *(field for name in _NUMBERS for field in ((f"length of {name}", ">i4"), (name, ">f8"))),
]
_WITH_TEXTS = np.dtype(_NUMBERS_LAYOUT)
"""A row before its texts."""
_WITHOUT_TEXTS = np.dtype([*_NUMBERS_LAYOUT, *((name, ">i4") for name in _TEXTS)])
"""A row whose texts are absent: of each there is only a length of −1."""


def block_of_rows(data: bytes) -> Block:
    """Rows of all columns of a reading, absent numbers as NaN, as a block sorted by (series, instant)."""
    rows, texts = _rows_without_texts(data), dict[str, Array]()
    if rows is None:
        rows, texts = _rows_with_texts(data)
    columns = {name: rows[name].astype(np.float64) for name in _NUMBERS} | texts
    block = Block(
        series_id=rows["series_id"].astype(np.int32),
        at=rows["at"].astype(np.int64) + POSTGRES_EPOCH,
        value=rows["value"].astype(np.float64),
        optional={
            column.name: columns[column.name]
            for column in OPTIONAL
            if column.name in columns and not column.is_empty(columns[column.name])
        },
    )
    return block.take(np.lexsort((block.at, block.series_id)))


def _rows_without_texts(data: bytes) -> npt.NDArray[np.void] | None:
    """The rows if none has a text, which are all of the same length; else None."""
    count, rest = divmod(len(data) - len(HEADER) - len(TRAILER), _WITHOUT_TEXTS.itemsize)
    rows = np.frombuffer(data, _WITHOUT_TEXTS, count, len(HEADER))
    return rows if not rest and all((rows[name] == -1).all() for name in _TEXTS) else None


def _rows_with_texts(data: bytes) -> tuple[npt.NDArray[np.void], dict[str, Array]]:
    """The rows, and their texts by column."""
    starts: list[int] = []
    texts: dict[str, list[str | None]] = {name: [] for name in _TEXTS}
    at = len(HEADER)
    while at < len(data) - len(TRAILER):
        starts.append(at)
        at += _WITH_TEXTS.itemsize
        for name in _TEXTS:
            (length,) = _LENGTH.unpack_from(data, at)
            at += _LENGTH.size
            texts[name].append(None if length < 0 else data[at : at + length].decode())
            at += max(length, 0)
    raw = np.frombuffer(data, np.uint8)
    rows = raw[np.array(starts)[:, None] + np.arange(_WITH_TEXTS.itemsize)].view(_WITH_TEXTS)[:, 0]
    return rows, {name: np.array(column, dtype=object) for name, column in texts.items()}
