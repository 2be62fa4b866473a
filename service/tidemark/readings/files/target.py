"""Files of readings, written piece by piece in constant memory.

A writer takes its pieces from a plain iterator, in a thread; `Pull` lets it have what comes from the event loop.
"""

import asyncio
import gzip
import os
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Generic, TypeVar, cast

import orjson
import polars as pl
import zstandard
from polars.io.plugins import register_io_source

from tidemark.base.time import microseconds
from tidemark.base.values import format_instant, format_number
from tidemark.readings.files.formats import CSV, FIELDS, NDJSON, PARQUET, FileFormat

if TYPE_CHECKING:
    from asyncpg import Record

    from tidemark.readings.export import Piece

ROW_GROUP = 50_000
"""Readings of a Parquet row group, which is the most that a writer or reader holds at once."""
_INSTANT = pl.Datetime("us", "UTC")
_SCHEMA = pl.Schema(
    {name: _INSTANT if name == "timestamp" else pl.Float64 for name in FIELDS}
    | {"sensor": pl.String, "metadata": pl.String}
)
_NUMBERS = ("value", "latitude", "longitude", "x_axis_value")

Item = TypeVar("Item")


class Pull(Generic[Item]):
    """What an asynchronous generator of this event loop yields, one by one, for a thread."""

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
        """Run a writer to its end in a thread; when this is cancelled the items end, and the writer with them."""
        writing = asyncio.ensure_future(asyncio.to_thread(write, iter(self)))
        try:
            await asyncio.shield(writing)
        except asyncio.CancelledError:
            self._stopped = True
            await asyncio.wait([writing])
            raise


@contextmanager
def replacing(file: Path) -> Iterator[IO[bytes]]:
    """A file that takes its name when it is complete and on disk; until then, what had the name stays as it was."""
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


def write(pieces: "Iterator[Piece]", form: FileFormat, opened: IO[bytes]) -> None:
    """Write the readings of all pieces to a file that is open for it. Raises OSError, and what the pieces raise."""
    if form.name == PARQUET:
        _write_parquet(pieces, opened)
        return
    with ExitStack() as stack:
        if form.compression == "gzip":
            packed = gzip.GzipFile(fileobj=opened, mode="wb", compresslevel=6, mtime=0)
            opened = cast("IO[bytes]", stack.enter_context(packed))
        elif form.compression == "zstd":
            opened = stack.enter_context(zstandard.ZstdCompressor().stream_writer(opened, closefd=False))
        texts = _TEXTS[form.name]
        if form.name == CSV:
            opened.write(",".join(FIELDS).encode() + b"\n")
        for sensor, rows in pieces:
            opened.write(texts(sensor, rows).encode())


def _csv_rows(sensor: str, rows: "list[Record]") -> str:
    start = _quoted(sensor)
    lines = []
    for _, ts, value, latitude, longitude, x_axis_value, metadata in rows:
        numbers = ",".join(
            "" if number is None else format_number(number) for number in (value, latitude, longitude, x_axis_value)
        )
        text = "" if metadata is None else _quoted(metadata)
        lines.append(f"{start},{format_instant(microseconds(ts))},{numbers},{text}\n")
    return "".join(lines)


def _quoted(text: str) -> str:
    if any(mark in text for mark in ',"\r\n'):
        text = '"' + text.replace('"', '""') + '"'
    return text


def _ndjson_lines(sensor: str, rows: "list[Record]") -> str:
    start = f'{{"sensor":{orjson.dumps(sensor).decode()},"timestamp":"'
    lines = []
    for _, ts, *numbers, metadata in rows:
        given = "".join(
            f',"{name}":{format_number(number)}'
            for name, number in zip(_NUMBERS, numbers, strict=True)
            if number is not None
        )
        text = "" if metadata is None else f',"metadata":{metadata}'
        lines.append(f'{start}{format_instant(microseconds(ts))}"{given}{text}}}\n')
    return "".join(lines)


_TEXTS: "dict[str, Callable[[str, list[Record]], str]]" = {CSV: _csv_rows, NDJSON: _ndjson_lines}


def _write_parquet(pieces: "Iterator[Piece]", opened: IO[bytes]) -> None:
    failures: list[Exception] = []

    def frames(_columns: object, _predicate: object, _most: object, _size: object) -> Iterator[pl.DataFrame]:
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
        if failures:  # polars knows only its text
            raise failures[0] from None
        raise


def _frame(sensor: str, rows: "list[Record]") -> pl.DataFrame:
    _, instants, *columns = zip(*rows, strict=True)
    values = [[sensor] * len(rows), list(map(microseconds, instants)), *columns]
    return pl.DataFrame(dict(zip(FIELDS, values, strict=True)), schema=_SCHEMA)
