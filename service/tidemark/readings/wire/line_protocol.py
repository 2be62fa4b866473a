"""InfluxDB line protocol, as https://docs.influxdata.com/influxdb/v2/reference/syntax/line-protocol/ describes it.

Whole pieces of a body are split and converted as columns, most of them by the marks that divide their bytes: those in
which all lines are of the most frequent form. `read_line`, which alone knows all of the rules, reads the lines for
which columns are not safe: those with escapes, strings or errors.
"""

import codecs
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count
from typing import Literal

import numpy as np
import numpy.typing as npt
import polars as pl

from tidemark.base.errors import FieldError
from tidemark.base.values import MAX_AHEAD, MAX_VALUE, Clock, check_instant, parse_value
from tidemark.bodies.lines import BlankLines
from tidemark.bodies.outcome import LISTED, BodyError, Rejection
from tidemark.readings.columns import Floats, Integers
from tidemark.readings.wire.known_names import KnownNames, remembered
from tidemark.readings.wire.piece import Piece
from tidemark.readings.wire.series_names import MAX_NAME, series_name

MAX_LINE = 1024 * 1024
"""Largest size of a line, in bytes."""
PIECE = 512 * 1024
"""Bytes of a body that are decoded at a time: some 10,000 lines of typical length."""

AUTO = 0
"""Used instead of a unit: the magnitude of each timestamp tells its unit, by the thresholds of InfluxDB 3."""

_AUTO_UNITS = ((5 * 10**9, 1_000_000_000), (5 * 10**12, 1_000_000), (5 * 10**15, 1_000))
"""Thresholds below which a timestamp has a unit; from the last threshold on, timestamps are in nanoseconds."""
_V2_UNITS = {"ns": 1, "us": 1_000, "ms": 1_000_000, "s": 1_000_000_000}
_V1_UNITS = _V2_UNITS | {"n": 1, "u": 1_000, "µ": 1_000, "m": 60_000_000_000, "h": 3_600_000_000_000}
_V3_NAMES = {"nanosecond": 1, "microsecond": 1_000, "millisecond": 1_000_000, "second": 1_000_000_000}
_UNITS = {1: _V1_UNITS, 2: _V2_UNITS, 3: {"auto": AUTO} | _V3_NAMES | _V2_UNITS}
_BOOLEANS = {
    **dict.fromkeys(("t", "T", "true", "True", "TRUE"), 1.0),
    **dict.fromkeys(("f", "F", "false", "False", "FALSE"), 0.0),
}

_BLANKS = " \t\r"  # stripped from both ends of a line; \r occurs where lines end with CRLF
_MAX_LINES = 20_000  # decoded at a time, however short they are
_MAX_FAST_NUMBER = 100  # characters; `read_line` checks longer numbers
_SHOWN = 50  # characters of an invalid part that messages quote
_KEPT = 200  # characters of a rejected line that its rejection keeps

_NEWLINE, _SPACE, _EQUALS, _COMMA, _HASH, _CUT = b"\n =,#\x1f"
_LAST_MARKS = np.array([[_SPACE], [_EQUALS], [_SPACE], [_NEWLINE]], dtype=np.uint8)
_IRREGULAR = (b"\\", b'"', b"\r", b"\t", bytes([_CUT]))

# A string may contain newlines. It begins only at a quote that follows the = of a field, hence after a space.
_LINE = re.compile(
    rb"""(?: [ \t\r]*+ \# [^\n]*+
           | [ \t\r]*+ (?: [^\\\n ]++ | \\[^\n]?+ )*+
             (?: [ ] (?: [^\\\n=]++ | \\[^\n]?+ | ="(?: [^"\\]++ | \\.?+ )*+ (?: "|\Z) | = )*+ )?+
         ) \n""",
    re.VERBOSE | re.DOTALL,
)
_HEAD = re.compile(r"((?:[^\\ ]++|\\.?+)*+)(?: ++(.*))?", re.DOTALL)
_BY_COMMA = re.compile(r"(?:\A|,)((?:[^\\,]++|\\.?+)*+)", re.DOTALL)
_BY_EQUALS = re.compile(r"(?:\A|=)((?:[^\\=]++|\\.?+)*+)", re.DOTALL)
_FIELD = re.compile(r'((?:[^\\=, ]++|\\.?+)++)=("(?:[^"\\]++|\\.)*+"|[^ ,"][^ ,]*+)', re.DOTALL)
_ESCAPED = re.compile(r"\\([\\,= ])")
_ESCAPED_IN_MEASUREMENT = re.compile(r"\\([\\, ])")
_INTEGER = re.compile(r"([+-]?)0*([0-9]{1,20})")


class PrecisionError(ValueError):
    """A precision that the write endpoint does not know."""


@dataclass(slots=True)
class Line:
    """The content of a line: its instant (µs since 1970 UTC), its readings, and errors for its other fields."""

    at: int
    readings: list[tuple[str, float]] = field(default_factory=list)
    """Series name and value."""
    rejected: list[FieldError] = field(default_factory=list)


def precision(name: str, version: Literal[1, 2, 3] = 2) -> int:
    """Nanoseconds in the timestamp unit that `name` means in this version of InfluxDB's write API, or `AUTO`.

    Raises PrecisionError.
    """
    units = _UNITS[version]
    if name not in units:
        raise PrecisionError(f"The precision {name[:20]!r} is unknown; use one of {', '.join(sorted(units))}.")
    return units[name]


class LineProtocol:
    """A Decoder (see tidemark.bodies.pipeline). `unit` is as `precision` returns it; `clock` in µs since 1970 UTC.

    A record is a line that is neither blank nor a comment. Lines without a timestamp get the current time. Each
    rejected field of a line counts as a rejection, and so does a line that cannot be read at all.
    """

    def __init__(self, unit: int, clock: Clock) -> None:
        self._unit = unit
        self._clock = clock
        self._rest = bytearray()
        self._due = PIECE
        self._lines = 0
        self._blank = BlankLines()

    def feed(self, data: bytes) -> Iterator[Piece]:
        """Take the next bytes. Raises BodyError for a line of more than 1 MiB."""
        for start in range(0, len(data), PIECE):
            self._rest += data[start : start + PIECE]
            if len(self._rest) >= self._due:
                yield from self.flush()

    def flush(self) -> Iterator[Piece]:
        """The complete lines received so far. Raises BodyError for a line of more than 1 MiB."""
        text = bytes(self._rest)
        used = text.rfind(b"\n") + 1
        if (piece := self._decode_regular(text[:used])) is not None:
            lines: list[bytes] = []
        else:
            lines, used = _complete(text)
        del self._rest[:used]
        self._due = len(self._rest) + PIECE  # so that a long unfinished line is not scanned again and again
        if piece is not None:
            yield piece
        yield from self._take(lines, self._rest)

    def finish(self) -> Iterator[Piece]:
        """End the body; the last line needs no newline. Raises BodyError."""
        text = bytes(self._rest)
        self._rest.clear()
        if (piece := self._decode_regular(text if text.endswith(b"\n") else text + b"\n")) is not None:
            yield piece
            return
        lines, used = _complete(text)
        lines.append(text[used:])
        yield from self._take(lines, self._rest)

    def _take(self, lines: list[bytes], rest: bytearray) -> Iterator[Piece]:
        fitting = len(lines)
        if max(map(len, lines), default=0) > MAX_LINE:
            fitting = next(number for number, line in enumerate(lines) if len(line) > MAX_LINE)
        for start in range(0, fitting, _MAX_LINES):
            yield from self._decode(lines[start : min(start + _MAX_LINES, fitting)])
        if fitting < len(lines) or len(rest) > MAX_LINE:
            raise BodyError(
                f"Line {self._lines} (counted from 0, not counting blank lines and comments) is longer than "
                f"{MAX_LINE} bytes: does a string lack its closing quote?"
            )

    def _decode_regular(self, text: bytes) -> Piece | None:
        """The readings of complete lines that are all regular (see `_split_regular`) and valid; None if any is not."""
        rows = _split_regular(text, self._unit, self._clock())
        if rows is None:
            return None
        sensors: dict[str, int] = {}
        piece, others = self._decode_plain(rows, len(rows), sensors)
        if len(others):
            return None
        self._blank.note(0, len(rows))
        self._number(piece, sensors, len(rows))
        return piece

    def _decode(self, lines: list[bytes]) -> Iterator[Piece]:
        text = pl.col("text")
        records = (
            pl.DataFrame({"text": _texts(lines)})
            .select(text.str.strip_chars(_BLANKS))
            .filter(((text != "") & ~text.str.starts_with("#")).fill_null(value=True))
        )
        self._blank.note(len(lines) - len(records), len(records))
        if records.is_empty():
            return
        sensors: dict[str, int] = {}
        rows = _split_lines(records, self._unit, self._clock())
        piece, others = self._decode_plain(rows, len(records), sensors)
        if len(others):
            piece = _interleaved(self._decode_exactly(records["text"], others, sensors), piece)
        self._number(piece, sensors, len(records))
        yield piece

    def _number(self, piece: Piece, sensors: dict[str, int], records: int) -> None:
        """Name the sensors of a piece of so many records, and count its records from the beginning of the body."""
        piece.names = list(sensors)
        piece.index += self._lines
        self._lines += records

    def _decode_plain(self, rows: pl.DataFrame, records: int, sensors: dict[str, int]) -> tuple[Piece, Integers]:
        """The readings of the plain ones of so many lines, and the indexes of the others, which may be valid or not.

        The distinct names of the plain lines are added to `sensors`, which is empty.
        """
        line = rows["line"].to_numpy()
        names, name_index = _plain_names.look_up(rows["series"])
        named = np.fromiter(map(bool, names), np.bool_, len(names))
        value = _numbers(rows["number"])
        plain = np.ones(records, dtype=bool)
        plain[line[~(rows["plain"].to_numpy() & named[name_index] & (np.abs(value) <= MAX_VALUE))]] = False

        taken = plain[line]
        name_index = name_index[taken]
        sensor = np.zeros(len(names), dtype=np.int32)
        used = np.flatnonzero(np.bincount(name_index, minlength=len(names)))
        taken_names = [names[number] for number in used.tolist()]
        sensors.update(zip(dict.fromkeys(taken_names), count(), strict=False))
        sensor[used] = np.fromiter(map(sensors.__getitem__, taken_names), np.int32, len(used))
        piece = Piece(
            names=[],
            sensor=sensor[name_index],
            at=rows["at"].to_numpy()[taken],
            value=value[taken],
            index=line[taken],
        )
        return piece, np.flatnonzero(~plain)

    def _decode_exactly(self, records: pl.Series, chosen: Integers, sensors: dict[str, int]) -> Piece:
        sensor: list[int] = []
        at: list[int] = []
        value: list[float] = []
        index: list[int] = []
        rejections: list[Rejection] = []
        rejected = 0
        for number, text in zip(chosen.tolist(), records.gather(chosen).to_list(), strict=True):
            try:
                line = read_line(text, self._unit, self._clock())
            except FieldError as error:
                errors = [error]
            else:
                errors = line.rejected
                for name, reading in line.readings:
                    sensor.append(sensors.setdefault(name, len(sensors)))
                    at.append(line.at)
                    value.append(reading)
                    index.append(number)
            rejected += len(errors)
            rejections += [
                Rejection(self._lines + number, one.field, one.message, (text or "")[:_KEPT])
                for one in errors[: LISTED - len(rejections)]
            ]
        return Piece(
            names=[],
            sensor=np.array(sensor, dtype=np.int32),
            at=np.array(at, dtype=np.int64),
            value=np.array(value, dtype=np.float64),
            index=np.array(index, dtype=np.int64),
            rejections=rejections,
            rejected=rejected,
        )


def read_line(text: str | None, unit: int, now: int) -> Line:
    """Read one record, stripped of blanks at both ends, by all of the rules; None stands for a line that is not UTF-8.

    `unit` is as `precision` returns it, `now` is in µs since 1970 UTC. Raises FieldError if no part of the line can be
    used; a single field that is not a reading (a string, a number that is too large, …) only adds to `rejected`.
    """
    if text is None:
        raise FieldError("line", "The line is not UTF-8.")
    match = _HEAD.fullmatch(text)
    if match is None or not match[2]:
        raise FieldError("line", "The line has no fields; write: measurement,tag=value field=value timestamp.")
    fields, stamp = _fields(match[2])
    line = Line(at=_instant(stamp, unit, now))
    for key, number in fields:
        try:
            line.readings.append((_name(match[1], key), _number(number, key)))
        except FieldError as error:
            line.rejected.append(error)
    return line


@remembered()
def _name(head: str, key: str) -> str:
    """The series name for a measurement with tags and a field key, all as written. Raises FieldError."""
    measurement, tags = _measurement(head)
    return series_name(measurement, _unescaped(key), tags)


def _plain_name(series: str) -> str:
    """The series name for a measurement with tags, a space and a field key, as written; empty if there is none, or only
    the exact path can tell.
    """
    if "\\" in series:
        return ""
    head, _, key = series.partition(" ")
    try:
        measurement, tags = _measurement(head)
        return series_name(measurement, key, tags)
    except FieldError:
        return ""


_plain_names = KnownNames(_plain_name)


def _measurement(head: str) -> tuple[str, list[tuple[str, str]]]:
    """The measurement and the tags, unescaped. Raises FieldError."""
    measurement, *rest = _split(head, _BY_COMMA, ",")
    tags = []
    for text in rest:
        pair = _split(text, _BY_EQUALS, "=")
        if len(pair) != 2 or not pair[1]:
            raise FieldError(
                "line", "Write every tag as key=value, neither of them empty; escape spaces, commas and = with \\."
            )
        tags.append((_unescaped(pair[0]), _unescaped(pair[1])))
    return _unescaped(measurement, _ESCAPED_IN_MEASUREMENT), tags


def _unescaped(text: str, escaped: re.Pattern[str] = _ESCAPED) -> str:
    return escaped.sub(r"\1", text) if "\\" in text else text


def _split(text: str, parts: re.Pattern[str], mark: str) -> list[str]:
    return parts.findall(text) if "\\" in text else text.split(mark)


def _fields(text: str) -> tuple[list[tuple[str, str]], str]:
    """The field keys with their values, and the timestamp (empty if there is none), all as written. Raises
    FieldError.
    """
    fields: list[tuple[str, str]] = []
    end = -1
    while end < 0 or text[end : end + 1] == ",":
        match = _FIELD.match(text, end + 1)
        if match is None:
            raise FieldError("line", "The fields cannot be read: write every field as key=value, separated by commas.")
        fields.append((match[1], match[2]))
        end = match.end()
    if end < len(text) and text[end] != " ":
        raise FieldError("line", "The fields cannot be read: a string must be followed by a comma or a space.")
    return fields, text[end:].strip(" ")


def _number(text: str, key: str) -> float:
    name = key[:_SHOWN]
    if text[0] == '"':
        raise FieldError(name, "A string cannot be stored as a reading: leave the field out, or send a number.")
    if text in _BOOLEANS:
        return _BOOLEANS[text]
    if text[-1] not in "iu":
        return parse_value(text, name)
    number = _integer(text[:-1])
    lowest, highest = (-(2**63), 2**63 - 1) if text[-1] == "i" else (0, 2**64 - 1)
    if number is None or not lowest <= number <= highest:
        raise FieldError(name, f"{text[:_SHOWN]!r} is not a 64-bit integer; write it like 12i, or 12u without a sign.")
    return float(number)


def _integer(text: str) -> int | None:
    match = _INTEGER.fullmatch(text)
    return None if match is None else int(match[1] + match[2])


def _instant(stamp: str, unit: int, now: int) -> int:
    if not stamp:
        return now
    raw = _integer(stamp)
    if raw is None:
        raise FieldError(
            "timestamp", f"{stamp[:_SHOWN]!r} is not a timestamp; send an integer in the precision of the request."
        )
    if unit == AUTO:
        unit = next((unit for threshold, unit in _AUTO_UNITS if abs(raw) < threshold), 1)
    return check_instant(raw // 1000 if unit == 1 else raw * (unit // 1000), now)


def _instants(raw: pl.Expr, unit: int, latest: int) -> pl.Expr:
    """Timestamps in microseconds, null for those that are out of range; `latest` is in microseconds."""
    if unit == AUTO:
        found = raw // 1000
        for threshold, finer in reversed(_AUTO_UNITS):
            found = pl.when(raw < threshold).then(raw * (finer // 1000)).otherwise(found)
        return pl.when((raw >= 0) & (found <= latest)).then(found)
    timely = raw.is_between(0, ((latest + 1) * 1000 - 1) // unit)  # for larger ones the product may overflow
    return pl.when(timely).then(raw // 1000 if unit == 1 else raw * (unit // 1000))


def _split_regular(text: bytes, unit: int, now: int) -> pl.DataFrame | None:
    """What `_split_lines` returns, of lines that are all written as `series,tag=value field=number timestamp`.

    That is the form in which nearly all lines come. None if any line has another one: with two fields, without a
    timestamp, with a blank more, an escape, a string, a comment, or whatever may not be UTF-8.
    """
    if len(text) > MAX_LINE or text.startswith(codecs.BOM_UTF8) or any(mark in text for mark in _IRREGULAR):
        return None
    data = np.frombuffer(text, dtype=np.uint8)
    if (cuts := _cuts(data)) is None:
        return None
    cut = data.copy()
    cut[cuts] = _CUT
    try:
        return _cut_regular(cut.tobytes(), unit, now)
    except pl.exceptions.ComputeError:  # a timestamp that is no integer of 64 bits, or not UTF-8
        return None


def _cuts(data: npt.NDArray[np.uint8]) -> Integers | None:
    """Where series, number and timestamp of each line part, an equals sign and a space; None if one is not regular.

    The last marks of a regular line are a space, an equals sign, a space and its end, each with something in between.
    """
    marks = np.flatnonzero((data == _NEWLINE) | (data == _SPACE) | (data == _EQUALS) | (data == _COMMA))
    kinds = data[marks]
    ends = np.flatnonzero(kinds == _NEWLINE)
    if not 0 < len(ends) <= _MAX_LINES or ends[0] < 3 or np.count_nonzero(kinds == _SPACE) != 2 * len(ends):
        return None
    places = ends - np.array([[3], [2], [1], [0]])
    starts = np.append(0, marks[ends[:-1]] + 1)
    bounds = np.vstack((starts - 1, marks[places]))
    if (kinds[places] != _LAST_MARKS).any() or (np.diff(bounds, axis=0) == 1).any() or (data[starts] == _HASH).any():
        return None
    return bounds[2:4]


def _cut_regular(text: bytes, unit: int, now: int) -> pl.DataFrame:
    """The rows of lines whose series, number and timestamp `_CUT` divides. Raises ComputeError."""
    columns = {"series": pl.String, "number": pl.String, "stamp": pl.Int64}
    rows = pl.read_csv(text, separator=chr(_CUT), has_header=False, quote_char=None, schema=columns, n_threads=1)
    at = _instants(pl.col("stamp"), unit, now + MAX_AHEAD)
    plain = at.is_not_null() & (pl.col("number").str.len_bytes() <= _MAX_FAST_NUMBER)
    return rows.select(
        pl.int_range(pl.len()).alias("line"),
        at.fill_null(0).alias("at"),
        pl.when(plain).then("series").otherwise(pl.lit("")).alias("series"),
        "number",
        plain.alias("plain"),
    )


def _split_lines(records: pl.DataFrame, unit: int, now: int) -> pl.DataFrame:
    """A row for each field of each line: `line`, `at`, `series` and `number` as written, and whether it looks `plain`.

    Where it does not, the series is empty: what is no name at all is not worth remembering.
    """
    head, fields, stamp, more = (pl.col(f"field_{number}") for number in range(4))
    at = _instants(stamp.cast(pl.Int64, strict=False), unit, now + MAX_AHEAD)
    timely = at.is_not_null() & (stamp.str.len_bytes() <= _MAX_FAST_NUMBER)
    plain = (stamp.is_null() | timely) & more.is_null() & fields.is_not_null() & (head != "")
    key, number = pl.col("field_0"), pl.col("field_1")
    return (
        records.select(pl.col("text").str.splitn(" ", 4))
        .unnest("text")
        .select(
            pl.int_range(pl.len()).alias("line"),
            head.fill_null("").alias("head"),
            pl.when(stamp.is_null()).then(now).otherwise(at).fill_null(0).alias("at"),
            plain.fill_null(value=False).alias("plain"),
            fields.fill_null("").str.split(",").alias("field"),
        )
        .explode("field", empty_as_null=True)
        .with_columns(pl.col("field").str.splitn("=", 2))
        .unnest("field")
        .select(
            "line",
            "at",
            number.alias("number"),
            pl.concat_str("head", key, separator=" ").alias("series"),
            (pl.col("plain") & (key != "") & (number.str.len_bytes() <= _MAX_FAST_NUMBER)).fill_null(value=False),
        )
        .with_columns(pl.col("plain") & (pl.col("series").str.len_bytes() <= MAX_NAME))
        .with_columns(pl.when("plain").then("series").otherwise(pl.lit("")).alias("series"))
    )


def _numbers(text: pl.Series) -> Floats:
    """Convert floats, integers and booleans as written to doubles; anything else becomes NaN."""
    value = text.cast(pl.Float64, strict=False)
    if value.has_nulls():
        value = pl.select(
            pl.coalesce(
                value,
                text.str.strip_suffix("i").cast(pl.Int64, strict=False).cast(pl.Float64),
                text.str.strip_suffix("u").cast(pl.UInt64, strict=False).cast(pl.Float64),
                text.replace_strict(_BOOLEANS, default=None, return_dtype=pl.Float64),
                np.nan,
            )
        ).to_series()
    return value.to_numpy()


def _texts(lines: list[bytes]) -> pl.Series:
    """The lines as text, null where a line is not UTF-8."""
    try:
        return pl.Series(lines, dtype=pl.Binary).cast(pl.String)
    except pl.exceptions.ComputeError:  # at least one line is not UTF-8; the error does not say which
        return pl.Series([_text(line) for line in lines], dtype=pl.String)


def _text(line: bytes) -> str | None:
    try:
        return line.decode()
    except UnicodeDecodeError:
        return None


def _complete(text: bytes) -> tuple[list[bytes], int]:
    """The complete lines without their newlines, and how many bytes they occupy with them."""
    if b'"' not in text:
        used = text.rfind(b"\n") + 1
        return text[:used].split(b"\n")[:-1], used
    lines: list[bytes] = []
    used = 0
    while (match := _LINE.match(text, used)) is not None:
        lines.append(text[used : match.end() - 1])
        used = match.end()
    return lines, used


def _interleaved(one: Piece, other: Piece) -> Piece:
    """The readings of both in the order of their lines; no line is in both. The rejections are those of the first."""
    both = Piece.concat([one, other])
    return both.take(np.argsort(both.index, kind="stable"))
