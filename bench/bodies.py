"""Readings in every bulk format, and the requests that carry them."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import cramjam
import numpy as np
import polars as pl

from bench.requests import SENSOR_ID, SENSORS, Credentials

if TYPE_CHECKING:
    from numpy.typing import NDArray

READINGS = 5_000
"""Readings per request."""
MAX_SENSORS = 100_000
SEED = 20130101
LATITUDE, LONGITUDE = 51.509865, -0.118092


@dataclass(frozen=True)
class Rows:
    """Columns of readings in time order: all sensors at one instant, then all at the next."""

    sensor: "NDArray[np.int64]"
    at: "NDArray[np.int64]"
    """Microseconds since 1970 UTC, in whole milliseconds, because remote write has no finer timestamps."""
    value: "NDArray[np.float64]"

    def __len__(self) -> int:
        return len(self.at)

    def part(self, chosen: "slice | NDArray[np.bool_]") -> "Rows":
        """Some of the rows."""
        return Rows(self.sensor[chosen], self.at[chosen], self.value[chosen])

    def requests(self) -> "Iterator[Rows]":
        """Split the readings into requests."""
        return (self.part(slice(first, first + READINGS)) for first in range(0, len(self), READINGS))


def rows_from(start: int, count: int, step: int, sensors: int = SENSORS) -> Rows:
    """Make readings of all sensors every `step` microseconds, beginning at `start` (microseconds since 1970 UTC)."""
    number = np.arange(count)
    return Rows(number % sensors, start + number // sensors * step, 20 + number % 1000 / 100)


def weather_from(start: int, count: int, step: int, sensors: int) -> Rows:
    """Like `rows_from`, with values such as a thermometer has: two decimals, each near to the one before."""
    chance = np.random.default_rng(SEED)
    steps = chance.normal(0, 0.05, (-(-count // sensors), sensors))
    steps[0] = chance.normal(12, 8, sensors)
    rows = rows_from(start, count, step, sensors)
    return Rows(rows.sensor, rows.at, np.round(steps.cumsum(axis=0), 2).ravel()[:count])


def ndjson(rows: Rows) -> bytes:
    """One object per line."""
    return _frame(rows).write_ndjson().encode()


def placed_ndjson(rows: Rows) -> bytes:
    """One object per line, with coordinates."""
    place = (pl.lit(LATITUDE).alias("latitude"), pl.lit(LONGITUDE).alias("longitude"))
    return _frame(rows).with_columns(*place).write_ndjson().encode()


def csv(rows: Rows) -> bytes:
    """A header row, then one row per reading."""
    return _frame(rows).write_csv().encode()


def json(rows: Rows) -> bytes:
    """A JSON array."""
    return b"[" + ndjson(rows).rstrip().replace(b"\n", b",") + b"]"


def line_protocol(rows: Rows) -> bytes:
    """One line per reading, with timestamps in nanoseconds."""
    frame = pl.DataFrame(
        {"series": _names("bench,sensor={:05d}").gather(rows.sensor), "value": rows.value, "at": rows.at * 1000}
    )
    text = pl.format("{} value={} {}\n", "series", "value", "at").str.join("")
    return str(frame.select(text).item()).encode()


def remote_write(rows: Rows) -> bytes:
    """One time series per sensor, with timestamps in milliseconds, as snappy-compressed protobuf."""
    request = bytearray()
    for sensor in np.unique(rows.sensor).tolist():
        its = rows.part(rows.sensor == sensor)
        content = _field(1, _field(1, b"__name__") + _field(2, b"bench_remote"))
        content += _field(1, _field(1, b"sensor") + _field(2, f"{sensor:05d}".encode()))
        for at, value in zip((its.at // 1000).tolist(), its.value.astype("<f8"), strict=True):
            content += _field(2, b"\x09" + value.tobytes() + b"\x10" + _varint(at))
        request += _field(1, content)
    return bytes(cramjam.snappy.compress_raw(bytes(request)))


@dataclass(frozen=True)
class Format:
    """How readings are sent: the path, the media type and the expected status."""

    name: str
    path: str
    content_type: str
    body: Callable[[Rows], bytes]
    status: int

    def request(self, rows: Rows, credentials: Credentials) -> bytes:
        """The complete HTTP request."""
        body = self.body(rows)
        return (
            f"POST {self.path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: {self.content_type}\r\n"
            f"ORGANIZATION-ID: {credentials.organization_id}\r\nORGANIZATION-API-KEY: {credentials.api_key}\r\n"
            f"Content-Length: {len(body)}\r\n\r\n"
        ).encode() + body


LINE_PROTOCOL = Format("line protocol", "/write?db=bench", "text/plain; charset=utf-8", line_protocol, 204)
NDJSON = Format("NDJSON", "/api/v1/readings", "application/x-ndjson", ndjson, 200)
CSV = Format("CSV", "/api/v1/readings", "text/csv", csv, 200)
JSON = Format("JSON", "/api/v1/readings", "application/json", json, 200)
REMOTE_WRITE = Format("remote write", "/api/v1/write", "application/x-protobuf", remote_write, 204)
FORMATS = (LINE_PROTOCOL, NDJSON, CSV, JSON, REMOTE_WRITE)


def _frame(rows: Rows) -> pl.DataFrame:
    names = _names(SENSOR_ID)
    instants = pl.from_epoch(pl.Series(rows.at), time_unit="us").dt.strftime("%Y-%m-%dT%H:%M:%S%.6fZ")
    return pl.DataFrame({"sensor": names.gather(rows.sensor), "timestamp": instants, "value": rows.value})


@lru_cache
def _names(form: str) -> pl.Series:
    return pl.Series([form.format(number) for number in range(MAX_SENSORS)])


def _field(number: int, content: bytes) -> bytes:
    return bytes([number << 3 | 2]) + _varint(len(content)) + content


def _varint(number: int) -> bytes:
    encoded = bytearray()
    while number > 0x7F:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    encoded.append(number)
    return bytes(encoded)
