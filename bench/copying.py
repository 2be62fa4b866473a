"""Rows in PostgreSQL's binary COPY format, built as one numpy array, and how fast they are stored.

The format: https://www.postgresql.org/docs/current/sql-copy.html, "Binary Format".
"""

import time
from io import BytesIO
from typing import TYPE_CHECKING

import asyncpg
import numpy as np
from tidemark.database.migration import migrate

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from tidemark.database.database import Connected

COLUMNS = ("series_id", "ts", "value", "latitude", "longitude", "x_axis_value", "metadata")
POSTGRES_EPOCH = 946_684_800_000_000
"""2000-01-01 in microseconds since 1970 UTC; PostgreSQL counts from there."""

_HEADER = b"PGCOPY\n\xff\r\n\0" + bytes(8)
_TRAILER = b"\xff\xff"
_NULL = -1
_ROW = np.dtype(
    [
        ("columns", ">i2"),
        ("series_size", ">i4"),
        ("series_id", ">i4"),
        ("ts_size", ">i4"),
        ("ts", ">i8"),
        ("value_size", ">i4"),
        ("value", ">f8"),
        ("latitude_size", ">i4"),
        ("latitude", ">f8"),
        ("longitude_size", ">i4"),
        ("longitude", ">f8"),
        ("x_axis_value_size", ">i4"),
        ("metadata_size", ">i4"),
    ]
)


def copy_payload(
    series_ids: "NDArray[np.int64]", instants: "NDArray[np.int64]", values: "NDArray[np.float64]"
) -> bytes:
    """The COPY data of readings given as columns of equal length; instants in microseconds since 1970 UTC.

    Like the uploads of the load, all readings have coordinates, and none has an x-axis value or metadata.
    """
    rows = np.empty(len(series_ids), _ROW)
    rows["columns"] = len(COLUMNS)
    rows["series_size"], rows["series_id"] = 4, series_ids
    rows["ts_size"], rows["ts"] = 8, instants - POSTGRES_EPOCH
    rows["value_size"], rows["value"] = 8, values
    rows["latitude_size"], rows["latitude"] = 8, 51.509865
    rows["longitude_size"], rows["longitude"] = 8, -0.118092
    rows["x_axis_value_size"] = rows["metadata_size"] = _NULL
    return b"".join((_HEADER, rows.tobytes(), _TRAILER))


async def copy_readings(connection: "Connected", payload: bytes) -> None:
    """Store a payload, in a new transaction unless one is in progress."""
    await connection.copy_to_table("reading", source=BytesIO(payload), columns=COLUMNS, format="binary")


async def copy_rate(url: str, *, rows_a_commit: int, commits: int, series: int) -> float:
    """Measure how many rows per second one connection copies into an empty database with Tidemark's schema."""
    connection = await asyncpg.connect(url)
    try:
        await migrate(connection)
        start = time.time_ns() // 1000
        numbers = np.arange(rows_a_commit * commits)
        payloads = [
            copy_payload(1 + part % series, start + part * 10, 20 + part % 1000 / 100)
            for part in np.split(numbers, commits)
        ]
        began = time.perf_counter()
        for payload in payloads:
            await copy_readings(connection, payload)
        return numbers.size / (time.perf_counter() - began)
    finally:
        await connection.close()
