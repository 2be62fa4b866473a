"""Writes files of readings piece by piece, in constant memory.

A writer runs in a thread and reads its pieces from a plain iterator; `Pull` hands it those of an asynchronous one.
"""

import asyncio
import gzip
import os
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import datetime
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Generic, TypeVar, cast

import orjson
import polars as pl
import zstandard
from polars.io.plugins import register_io_source

from tidemark.base.time import microseconds
from tidemark.base.values import format_instant, format_number
from tidemark.readings.export import SensorRows
from tidemark.readings.files.formats import CSV, NDJSON, PARQUET, FileFormat
from tidemark.readings.optional_columns import OPTIONAL, NumberColumn
from tidemark.readings.wire.records import FIELDS

if TYPE_CHECKING:
    from asyncpg import Record

ROW_GROUP = 50_000
"""Readings in a Parquet row group, which a writer or reader must hold in memory."""
_TYPES: dict[str, Any] = {"sensor": pl.String, "timestamp": pl.Datetime("us", "UTC"), "value": pl.Float64} | {
    column.name: pl.Float64 if isinstance(column, NumberColumn) else pl.String for column in OPTIONAL
}
_SCHEMA = pl.Schema(_TYPES)

Item = TypeVar("Item")


class Pull(Generic[Item]):
    """Lets a thread iterate over the items of an asynchronous generator of this event loop."""

    def __init__(self, items: AsyncGenerator[Item, None]) -> None:
        self._items = items
        self._loop = asyncio.get_running_loop()
        self._stopped = False

    def __iter__(self) -> Iterator[Item]:
        while not self._stopped:
            item = asyncio.run_coroutine_threadsafe(self._next(), self._loop).result()
            if item is None:
                return
            yield item

    async def _next(self) -> Item | None:
        return await anext(self._items, None)

    async def into(self, write: Callable[[Iterator[Item]], None]) -> None:
        """Run a writer in a thread until it ends. When this is cancelled, the items end, and so does the writer."""
        writing = asyncio.ensure_future(asyncio.to_thread(write, iter(self)))
        try:
            await asyncio.shield(writing)
        except asyncio.CancelledError:
            self._stopped = True
            await asyncio.wait([writing])
            raise


@contextmanager
def replacing(file: Path) -> Iterator[IO[bytes]]:
    """A file that gets its name once it is complete and on disk; until then, a file that already has the name stays."""
    part = file.with_name(f".{file.name}.{os.getpid()}.part")
    try:
        with part.open("wb") as opened:
            yield opened
            opened.flush()
            os.fsync(opened.fileno())
        part.replace(file)
    finally:
        part.unlink(missing_ok=True)
    folder = os.open(file.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def write(pieces: Iterator[SensorRows], form: FileFormat, opened: IO[bytes]) -> None:
    """Write the readings of all pieces to an open file. Raises OSError, and whatever the pieces raise."""
    if form.name == PARQUET:
        _write_parquet(pieces, opened)
        return
    with ExitStack() as stack:
        if form.compression == "gzip":
            packed = gzip.GzipFile(fileobj=opened, mode="wb", compresslevel=6, mtime=0)
            opened = cast("IO[bytes]", stack.enter_context(packed))
        elif form.compression == "zstd":
            opened = stack.enter_context(zstandard.ZstdCompressor().stream_writer(opened, closefd=False))
        lines = _LINES[form.name]
        if form.name == CSV:
            opened.write(",".join(FIELDS).encode() + b"\n")
        for sensor, rows in pieces:
            opened.write(lines(sensor, rows).encode())


def _csv_rows(sensor: str, rows: "list[Record]") -> str:
    cells = _texts(rows, _CELLS)
    start = _quoted(sensor)
    return "".join(f"{start},{','.join(row)}\n" for row in zip(*cells, strict=True))


def _quoted(text: str) -> str:
    if any(mark in text for mark in ',"\r\n'):
        text = '"' + text.replace('"', '""') + '"'
    return text


def _ndjson_lines(sensor: str, rows: "list[Record]") -> str:
    members = _texts(rows, _MEMBERS)
    start = f'{{"sensor":{orjson.dumps(sensor).decode()}'
    return "".join(f"{start}{''.join(row)}}}\n" for row in zip(*members, strict=True))


def _texts(rows: "list[Record]", written: "Sequence[Callable[[Any], str]]") -> list[list[str]]:
    """The columns of readings, from the instant on, as a format writes them; an absent value is an empty text."""
    if not rows:
        return []
    _, *columns = zip(*rows, strict=True)
    return [
        ["" if value is None else write(value) for value in column]
        for write, column in zip(written, columns, strict=True)
    ]


def _instant(ts: datetime) -> str:
    return format_instant(microseconds(ts))


def _member(name: str, text: Callable[[Any], str]) -> Callable[[Any], str]:
    key = f',"{name}":'
    return lambda value: key + text(value)


_CELLS = (
    _instant,
    format_number,
    *(column.text if isinstance(column, NumberColumn) else _quoted for column in OPTIONAL),
)
_MEMBERS = (
    _member("timestamp", lambda ts: f'"{_instant(ts)}"'),
    _member("value", format_number),
    *(_member(column.name, column.text) for column in OPTIONAL),
)
_LINES: "dict[str, Callable[[str, list[Record]], str]]" = {CSV: _csv_rows, NDJSON: _ndjson_lines}


def _write_parquet(pieces: Iterator[SensorRows], opened: IO[bytes]) -> None:
    failures: list[Exception] = []

    def frames(_columns: object, _predicate: object, _row_limit: object, _batch_size: object) -> Iterator[pl.DataFrame]:
        try:
            for sensor, rows in pieces:
                if rows:
                    yield _frame(sensor, rows)
        except Exception as failure:
            failures.append(failure)
            raise

    try:
        register_io_source(frames, schema=_SCHEMA).sink_parquet(opened, row_group_size=ROW_GROUP)
    except pl.exceptions.ComputeError:
        if failures:  # polars passes on only its text
            raise failures[0] from None
        raise


def _frame(sensor: str, rows: "list[Record]") -> pl.DataFrame:
    _, instants, *columns = zip(*rows, strict=True)
    values = [[sensor] * len(rows), list(map(microseconds, instants)), *columns]
    return pl.DataFrame(dict(zip(FIELDS, values, strict=True)), schema=_SCHEMA)
