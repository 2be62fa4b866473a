"""Reads files of readings piece by piece, in constant memory whatever their size."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import polars as pl

from tidemark.base.values import Clock
from tidemark.bodies.compression import decompressor
from tidemark.bodies.lines import PIECE_RECORDS
from tidemark.bodies.outcome import LISTED, BodyError
from tidemark.bodies.pipeline import Decoder, decoded
from tidemark.readings.files.formats import CSV, PARQUET, FileFormat
from tidemark.readings.optional_columns import OPTIONAL, NumberColumn
from tidemark.readings.wire.csv_rows import CsvDecoder
from tidemark.readings.wire.ndjson import NdjsonDecoder
from tidemark.readings.wire.piece import Piece
from tidemark.readings.wire.records import FIELDS, REQUIRED, Records, to_columns

CHUNK = 1024 * 1024
_NUMBERS = {"value", *(column.name for column in OPTIONAL if isinstance(column, NumberColumn))}

Item = TypeVar("Item")


async def pieces(
    file: Path, form: FileFormat, clock: Clock, *, skip: int, progress: Callable[[int, int], None]
) -> AsyncGenerator[Piece, None]:
    """The readings of a file after its first `skip` records.

    Calls `progress` with the number of bytes read so far and the total. Raises BodyError if the file cannot be read any
    further.
    """
    if form.name == PARQUET:
        async for piece in _in_thread(_parquet(file, clock, skip, progress)):
            yield piece
        return
    decoder: Decoder[Piece] = CsvDecoder(clock) if form.name == CSV else NdjsonDecoder(clock)
    first = 0
    async for piece in decoded(decoder, _in_thread(_bytes(file, form.compression, progress))):
        after = first + len(piece) + piece.rejected
        if after > skip:
            yield piece if first >= skip else rest(piece, first, skip)
        first = after


def rest(piece: Piece, first: int, skip: int) -> Piece:
    """A piece without the records before `skip`; `first` is the index of its first record."""
    kept = piece.index >= skip
    gone = len(piece) - int(kept.sum())
    return replace(
        piece.take(kept),
        rejections=[one for one in piece.rejections if one.index >= skip][:LISTED],
        rejected=piece.rejected - (skip - first - gone),
    )


async def _in_thread(items: Iterator[Item]) -> AsyncGenerator[Item, None]:
    while (item := await asyncio.to_thread(next, items, None)) is not None:
        yield item


def _bytes(file: Path, compression: str, progress: Callable[[int, int], None]) -> Iterator[bytes]:
    decompress = decompressor(compression)
    size = file.stat().st_size
    with file.open("rb") as opened:
        while data := opened.read(CHUNK):
            yield from decompress.feed(data)
            progress(opened.tell(), size)
    decompress.finish()


def _parquet(file: Path, clock: Clock, skip: int, progress: Callable[[int, int], None]) -> Iterator[Piece]:
    size = file.stat().st_size
    try:
        # Without glob, a name with * or [ is the name of one file too.
        frame = pl.scan_parquet(file, glob=False, hive_partitioning=False)
        frame = frame.select(_as_records(frame.collect_schema()))
        total = frame.select(pl.len()).collect().item()
        start = skip
        for batch in frame.slice(skip).collect_batches(chunk_size=PIECE_RECORDS, lazy=True):
            yield to_columns(_records(batch, start), [], clock())
            start += len(batch)
            progress(size * start // total, size)
    except (pl.exceptions.PolarsError, OSError) as error:
        raise BodyError(f"The Parquet data cannot be read: {error}.") from None


def _as_records(schema: pl.Schema) -> list[pl.Expr]:
    """The columns of a Parquet file, converted to what the rules for records accept. Raises BodyError."""
    for name in schema:
        if name not in FIELDS:
            raise BodyError(f"There is no column {name[:50]!r}; the columns are {', '.join(FIELDS)}.")
    for name in REQUIRED:
        if name not in schema:
            raise BodyError(f"The file lacks the column {name!r}.")
    return [_as_field(name, kind) for name, kind in schema.items()]


def _as_field(name: str, kind: pl.DataType) -> pl.Expr:
    column = pl.col(name)
    if name == "timestamp" and isinstance(kind, pl.Datetime):
        if kind.time_zone is not None:
            column = column.dt.convert_time_zone("UTC").dt.replace_time_zone(None)
        return column.dt.to_string("%Y-%m-%dT%H:%M:%S%.9f")
    if name in _NUMBERS and kind.is_numeric():
        return column.cast(pl.Float64)
    if kind in (pl.String, pl.Categorical, pl.Enum, pl.Null):
        column = column.cast(pl.String)
        return column if name in REQUIRED else column.replace("", None)  # an empty text is absent, as in CSV
    raise BodyError(f"The column {name!r} has the type {kind}, which it cannot have.")


def _records(batch: pl.DataFrame, start: int) -> Records:
    def required(name: str) -> list[Any]:
        column = batch[name]
        values = column.to_list()
        return ["" if value is None else value for value in values] if column.null_count() else values

    sensor, timestamp, value = map(required, REQUIRED)
    optional = {column.name: batch[column.name].to_list() for column in OPTIONAL if column.name in batch.columns}
    return Records(range(start, start + len(batch)), sensor, timestamp, value, optional)
