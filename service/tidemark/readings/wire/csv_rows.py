"""CSV with a header row (RFC 4180), decoded as it arrives."""

import codecs
import csv
from collections.abc import Iterator, Sequence

import numpy as np
import polars as pl

from tidemark.base.values import Clock
from tidemark.bodies.lines import MAX_RECORD, BlankLines, Lines
from tidemark.bodies.outcome import BodyError, Rejection
from tidemark.readings.wire.piece import Piece
from tidemark.readings.wire.records import FIELDS, REQUIRED, Records, to_columns
from tidemark.readings.wire.regular import regular_piece

_COMMA, _LINE_FEED = b",\n"

# Records have a limit of their own; the module's default of 128 KiB would break off in the middle of a long cell.
csv.field_size_limit(MAX_RECORD)


class CsvDecoder:
    """Decodes rows with the columns that the header row names, in any order; blank lines do not count as records.

    A row that is not a valid reading is rejected; a row of more than 1 MiB ends the body. `unit` is as in `to_columns`.
    """

    def __init__(self, clock: Clock, unit: str | None = None) -> None:
        self._clock = clock
        self._unit = unit
        self._lines = Lines()
        self._blank = BlankLines()
        self._header: list[str] = []
        self._open: list[bytes] = []
        """The lines so far of a row that has an unclosed quoted cell."""
        self._count = 0

    def feed(self, data: bytes) -> Iterator[Piece]:
        """Take the next bytes. Raises BodyError."""
        for lines in self._lines.feed(data):
            yield from self._decode(lines)

    def flush(self) -> Iterator[Piece]:
        """The complete rows received so far. Raises BodyError."""
        for lines in self._lines.flush():
            yield from self._decode(lines)

    def finish(self) -> Iterator[Piece]:
        """End the body. Raises BodyError."""
        for lines in self._lines.finish():
            yield from self._decode(lines)
        if self._open and self._header:
            self._open = []
            rejection = Rejection(self._count, "", "A quoted cell of this row has no closing quote.")
            yield to_columns(self._records([], []), [rejection], self._clock(), self._unit)
        if not self._header:
            raise BodyError(f"The body has no header row, such as {','.join(REQUIRED)}.")

    def _decode(self, lines: list[bytes]) -> Iterator[Piece]:
        blank = lines.count(b"") + lines.count(b"\r")
        self._blank.note(blank, len(lines) - blank)
        lines = self._open + lines
        rows = _Rows(lines)
        if not self._header:
            self._header = _read_header(rows)
        if self._header:
            piece = None if self._open else self._decode_plain(lines[rows.start :])
            if piece is not None:
                yield piece
                self._open = []
                return
            yield self._decode_rows(rows)
        self._open = lines[rows.start :]
        if rows.too_long or sum(map(len, self._open)) + len(self._open) - 1 > MAX_RECORD:
            raise BodyError(f"Record {self._count} is longer than {MAX_RECORD // 1024 // 1024} MiB.")

    def _decode_plain(self, lines: list[bytes]) -> Piece | None:
        """Decode rows without quotes that all have as many cells as the header; None if any is not such a row."""
        width, first, now = len(self._header), self._count, self._clock()
        block = _plain_block(lines, width)
        if block is None:
            return None
        texts = _columns(block, self._header)
        piece = None if texts is None else regular_piece(texts, first, now, self._unit)
        if piece is None:
            try:
                cells = block[:-1].decode().replace("\n", ",").split(",") if block else []
            except UnicodeDecodeError:
                return None
            columns = [cells[column::width] for column in range(width)]
            piece = to_columns(self._records(columns, range(first, first + len(columns[0]))), [], now, self._unit)
        self._count += block.count(b"\n")
        return piece

    def _decode_rows(self, rows: "_Rows") -> Piece:
        """Decode rows that may have quoted cells, differ in their number of cells, or be malformed."""
        taken: list[list[str]] = []
        index: list[int] = []
        rejections: list[Rejection] = []
        for row in rows:
            if isinstance(row, list) and len(row) == len(self._header):
                taken.append(row)
                index.append(self._count)
            else:
                message = row if isinstance(row, str) else f"The row has {len(row)} cells, not {len(self._header)}."
                rejections.append(Rejection(self._count, "", message))
            self._count += 1
        records = self._records([list(cells) for cells in zip(*taken, strict=True)], index)
        return to_columns(records, rejections, self._clock(), self._unit)

    def _records(self, cells: list[list[str]], index: Sequence[int]) -> Records:
        columns = dict(zip(self._header, cells, strict=False))
        sensor, timestamp, value = (columns.pop(name, []) for name in REQUIRED)
        optional = {name: [cell or None for cell in column] for name, column in columns.items()}
        return Records(index, sensor, timestamp, value, optional)


class _Rows:
    """The rows of some lines, read by the standard library; for a malformed row, a message instead of its cells.

    `start` is the index of the line after the last complete row: there, a row with an unclosed quoted cell begins, or
    one that is too long.
    """

    def __init__(self, lines: list[bytes]) -> None:
        self._lines = lines
        self._exhausted = False
        self._reader = csv.reader(self._texts(), strict=True)
        self.start = 0
        self.too_long = False

    def _texts(self) -> Iterator[str]:
        for line in self._lines:
            yield line.decode("utf-8", "surrogateescape") + "\n"
        self._exhausted = True

    def __iter__(self) -> Iterator[list[str] | str]:
        all_utf8 = None  # nobody asks for more than the first row, where that is the header
        while True:
            row: list[str] | str
            try:
                row = next(self._reader)
            except StopIteration:
                return
            except csv.Error as error:
                if self._exhausted:  # inside a quoted cell
                    return
                row = f"The row is not CSV: {error}."
            end = self._reader.line_num
            if (
                end - self.start > 1
                and sum(map(len, self._lines[self.start : end])) + end - self.start - 1 > MAX_RECORD
            ):
                self.too_long = True
                return
            if all_utf8 is None and self.start:
                all_utf8 = _is_utf8(self._lines)
            if not all_utf8 and not _is_utf8(self._lines[self.start : end]):
                row = "The row is not UTF-8."
            self.start = end
            if row:
                yield row


def _is_utf8(lines: list[bytes]) -> bool:
    try:
        b"\n".join(lines).decode()
    except UnicodeDecodeError:
        return False
    return True


def _read_header(rows: _Rows) -> list[str]:
    header = next(iter(rows), None)
    if header is None:
        return []
    if isinstance(header, str):
        raise BodyError(f"The header row cannot be read. {header}")
    for name in header:
        if name not in FIELDS:
            raise BodyError(f"There is no column {name[:50]!r}; the columns are {', '.join(FIELDS)}.")
        if header.count(name) > 1:
            raise BodyError(f"The header row names the column {name!r} twice.")
    for name in REQUIRED:
        if name not in header:
            raise BodyError(f"The header row lacks the column {name!r}.")
    return header


def _columns(block: bytes, header: list[str]) -> pl.DataFrame | None:
    """The cells of plain rows in columns, if these are the required ones and the cells are UTF-8."""
    if not block or len(header) != len(REQUIRED) or block.startswith(codecs.BOM_UTF8):  # which would be dropped
        return None
    schema = dict.fromkeys(header, pl.String)
    try:
        return pl.read_csv(block, has_header=False, quote_char=None, schema=schema, n_threads=1)
    except pl.exceptions.ComputeError:  # not UTF-8
        return None


def _plain_block(lines: list[bytes], width: int) -> bytes | None:
    """The rows, each with a line feed, if none has quotes and all have `width` cells; None for any other rows."""
    block = b"\n".join(lines) + b"\n"
    if b"\r" in block:
        block = block.replace(b"\r\n", b"\n")
    if b'"' in block or b"\r" in block:
        return None
    if b"\n\n" in block or block[0] == _LINE_FEED:
        lines = [line for line in lines if line not in (b"", b"\r")]
        block = b"\n".join(lines).replace(b"\r\n", b"\n") + b"\n"
    if not lines:
        return b""
    characters = np.frombuffer(block, np.uint8)
    separators = characters[(characters == _COMMA) | (characters == _LINE_FEED)]
    if len(separators) != len(lines) * width or (separators[width - 1 :: width] != _LINE_FEED).any():
        return None
    return block
