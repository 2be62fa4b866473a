"""PostgreSQL's binary COPY format, built from columns by numpy.

The format is that of the PostgreSQL documentation, "COPY", section "Binary Format": a header, then for each row the
number of its fields and for each field its length and its bytes, all big-endian; −1 for a length is null. Instants are
microseconds since 2000-01-01 UTC.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tidemark.readings.columns import Block

_HEADER = b"PGCOPY\n\xff\r\n\0" + bytes(8)
_TRAILER = b"\xff\xff"
_POSTGRES_EPOCH = 946_684_800_000_000
_OPTIONAL = ("latitude", "longitude", "x_axis_value")


@dataclass(frozen=True, slots=True)
class Payload:
    """What COPY takes: the columns, and the bytes."""

    columns: list[str]
    data: bytes


def copy_payload(block: Block) -> Payload:
    """The readings of a block as COPY takes them, in their order wherever no metadata or coordinates are absent."""
    numbers = {name: column for name in _OPTIONAL if (column := getattr(block, name)) is not None}
    columns = ["series_id", "ts", "value", *numbers, *(["metadata"] if block.metadata is not None else [])]
    # Rows with the same fields present have the same layout; there are few such patterns.
    present = np.zeros(len(block), dtype=np.int8)
    for bit, column in enumerate(numbers.values()):
        present |= (~np.isnan(column)).astype(np.int8) << bit
    parts = [_HEADER]
    for pattern in np.unique(present).tolist():
        chosen = np.flatnonzero(present == pattern)
        given = [bool(pattern >> bit & 1) for bit in range(len(numbers))]
        rows = _rows(block, chosen, [*numbers.values()], given, len(columns))
        if block.metadata is None:
            parts.append(rows.tobytes())
        else:
            parts += _with_metadata(rows, block.metadata[chosen])
    return Payload(columns, b"".join([*parts, _TRAILER]))


def _rows(
    block: Block,
    chosen: npt.NDArray[np.intp],
    numbers: list[npt.NDArray[np.float64]],
    given: list[bool],
    field_count: int,
) -> npt.NDArray[np.void]:
    layout = [("fields", ">i2"), ("n0", ">i4"), ("series", ">i4"), ("n1", ">i4"), ("at", ">i8")]
    layout += [("n2", ">i4"), ("value", ">f8")]
    for place, is_given in enumerate(given):
        layout += [(f"length{place}", ">i4"), *([(f"number{place}", ">f8")] if is_given else [])]
    rows = np.empty(len(chosen), dtype=layout)
    rows["fields"] = field_count
    rows["n0"], rows["n1"], rows["n2"] = 4, 8, 8
    rows["series"] = block.series_id[chosen]
    rows["at"] = block.at[chosen] - _POSTGRES_EPOCH
    rows["value"] = block.value[chosen]
    for place, is_given in enumerate(given):
        rows[f"length{place}"] = 8 if is_given else -1
        if is_given:
            rows[f"number{place}"] = numbers[place][chosen]
    return rows


def _with_metadata(rows: npt.NDArray[np.void], metadata: npt.NDArray[np.object_]) -> list[bytes]:
    size, data = rows.dtype.itemsize, rows.tobytes()
    parts = []
    for place, text in enumerate(metadata.tolist()):
        parts.append(data[place * size : (place + 1) * size])
        if text is None:
            parts.append(b"\xff\xff\xff\xff")
        else:
            encoded = text.encode()
            parts += [len(encoded).to_bytes(4, "big"), encoded]
    return parts
