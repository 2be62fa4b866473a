"""PostgreSQL's binary COPY format, built from columns by numpy.

The PostgreSQL documentation of COPY describes the format in the section "Binary Format": a header, then for each row
the number of its fields and for each field its length and its bytes, all big-endian; a length of −1 means null.
Instants are microseconds since 2000-01-01 UTC.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import chain

import numpy as np
import numpy.typing as npt

from tidemark.readings.columns import Block
from tidemark.readings.optional_columns import OPTIONAL, Array, NumberColumn

HEADER = b"PGCOPY\n\xff\r\n\0" + bytes(8)
TRAILER = b"\xff\xff"
NULL = b"\xff\xff\xff\xff"
POSTGRES_EPOCH = 946_684_800_000_000
"""2000-01-01 UTC in microseconds since 1970."""


@dataclass(frozen=True, slots=True)
class Payload:
    """The input of COPY: the names of the columns, and the bytes."""

    columns: list[str]
    data: bytes


def copy_payload(block: Block) -> Payload:
    """The readings of a block in COPY's format, in their order."""
    numbers, texts = _optional(block, numbers=True), _optional(block, numbers=False)
    columns = ["series_id", "ts", "value", *numbers, *texts]
    # Rows with the same numbers present have the same layout; there are few such patterns.
    present = np.zeros(len(block), dtype=np.min_scalar_type(1 << len(numbers)))
    for bit, column in enumerate(numbers.values()):
        present |= (~np.isnan(column)).astype(present.dtype) << bit
    patterns = [(pattern, np.flatnonzero(present == pattern)) for pattern in np.unique(present).tolist()]
    parts: list[Iterable[bytes]] = []
    for pattern, chosen in patterns:
        given = [bool(pattern >> bit & 1) for bit in range(len(numbers))]
        rows = _rows(block, chosen, [*numbers.values()], given, len(columns))
        if texts or len(patterns) > 1:
            parts.append(_with_texts(rows, [column[chosen] for column in texts.values()]))
        else:
            parts.append([rows.tobytes()])
    in_order = parts[0] if len(parts) == 1 else _in_order(parts, [chosen for _, chosen in patterns])
    return Payload(columns, b"".join([HEADER, *in_order, TRAILER]))


def has_texts(block: Block) -> bool:
    """Whether a block has texts, which are encoded one by one; encoding numbers takes a fraction of a millisecond."""
    return bool(_optional(block, numbers=False))


def _optional(block: Block, *, numbers: bool) -> dict[str, Array]:
    """The optional columns of a block that are numbers or, if not `numbers`, those that are texts."""
    return {
        column.name: block.optional[column.name]
        for column in OPTIONAL
        if column.name in block.optional and isinstance(column, NumberColumn) == numbers
    }


def _rows(
    block: Block,
    chosen: npt.NDArray[np.intp],
    numbers: list[npt.NDArray[np.float64]],
    given: list[bool],
    field_count: int,
) -> npt.NDArray[np.void]:
    layout = [("fields", ">i2"), ("n0", ">i4"), ("series", ">i4"), ("n1", ">i4"), ("at", ">i8")]
    layout += [("n2", ">i4"), ("value", ">f8")]
    for number, is_given in enumerate(given):
        layout += [(f"length{number}", ">i4"), *([(f"number{number}", ">f8")] if is_given else [])]
    rows = np.empty(len(chosen), dtype=layout)
    rows["fields"] = field_count
    rows["n0"], rows["n1"], rows["n2"] = 4, 8, 8
    rows["series"] = block.series_id[chosen]
    rows["at"] = block.at[chosen] - POSTGRES_EPOCH
    rows["value"] = block.value[chosen]
    for number, is_given in enumerate(given):
        rows[f"length{number}"] = 8 if is_given else -1
        if is_given:
            rows[f"number{number}"] = numbers[number][chosen]
    return rows


def _with_texts(rows: npt.NDArray[np.void], texts: list[Array]) -> Iterable[bytes]:
    size, data = rows.dtype.itemsize, rows.tobytes()
    starts = [data[start : start + size] for start in range(0, len(data), size)]
    return map(b"".join, zip(starts, *map(text_fields, texts), strict=True))


def _in_order(parts: Iterable[Iterable[bytes]], places: list[npt.NDArray[np.intp]]) -> Iterable[bytes]:
    """The rows of several layouts, each at its place."""
    rows = np.fromiter(chain.from_iterable(parts), dtype=object)
    order = np.argsort(np.concatenate(places))
    ordered: list[bytes] = rows[order].tolist()
    return ordered


def text_fields(texts: Array) -> list[bytes]:
    """Texts as fields; see `text_field`."""
    return [text_field(text) for text in texts.tolist()]


def text_field(text: str | None) -> bytes:
    """A text as a field, its length and its bytes; null where there is none."""
    return NULL if text is None else len(encoded := text.encode()).to_bytes(4, "big") + encoded
