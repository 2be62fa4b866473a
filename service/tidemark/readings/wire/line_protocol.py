"""InfluxDB line protocol, as https://docs.influxdata.com/influxdb/v2/reference/syntax/line-protocol/ describes it.

Whole pieces of a body are split and converted in columns; a line that does not come through that without doubt
(escapes, strings, anything wrong) is read by `read_line`, which alone knows all of the rules.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Literal

import numpy as np
import polars as pl

from tidemark.base.errors import FieldError
from tidemark.base.values import MAX_AHEAD, MAX_VALUE, Clock, check_instant, parse_value
from tidemark.bodies.lines import BlankLines
from tidemark.bodies.outcome import LISTED, BodyError, Rejection
from tidemark.readings.columns import Floats, Integers
from tidemark.readings.wire.piece import Piece
from tidemark.readings.wire.series_names import series_name

MAX_LINE = 1024 * 1024
"""Bytes of a line."""
PIECE = 512 * 1024
"""Bytes of a body that are decoded at a time: some 10,000 lines of a usual length."""

AUTO = 0
"""In place of a unit: each timestamp's own size tells it, by the borders of InfluxDB 3."""

_AUTO_UNITS = ((5 * 10**9, 1_000_000_000), (5 * 10**12, 1_000_000), (5 * 10**15, 1_000))
"""Below which number a timestamp has which unit; from the last on they are nanoseconds."""
_V2_UNITS = {"ns": 1, "us": 1_000, "ms": 1_000_000, "s": 1_000_000_000}
_V1_UNITS = _V2_UNITS | {"n": 1, "u": 1_000, "µ": 1_000, "m": 60_000_000_000, "h": 3_600_000_000_000}
_V3_NAMES = {"nanosecond": 1, "microsecond": 1_000, "millisecond": 1_000_000, "second": 1_000_000_000}
_UNITS = {1: _V1_UNITS, 2: _V2_UNITS, 3: {"auto": AUTO} | _V3_NAMES | _V2_UNITS}
_BOOLEANS = {
    **dict.fromkeys(("t", "T", "true", "True", "TRUE"), 1.0),
    **dict.fromkeys(("f", "F", "false", "False", "FALSE"), 0.0),
}

_BLANKS = " \t\r"  # at the ends of a line; \r is there when lines end with CRLF
_MAX_LINES = 20_000  # that are decoded at a time, however short
_MAX_FAST_NUMBER = 100  # characters; longer ones have their own rule
_SHOWN = 50  # characters of what is wrong
_KEPT = 200  # characters of a line that is refused
_REMEMBERED = 10_000  # series names that are kept ready

# A string may contain newlines, and begins only at a quote that follows the = of a field, hence behind a space.
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
    """What a line gives: the instant (µs since 1970 UTC) of its readings, and the fields that are none."""

    at: int
    readings: list[tuple[str, float]] = field(default_factory=list)
    """Series name and value."""
    refused: list[FieldError] = field(default_factory=list)


def precision(name: str, version: Literal[1, 2, 3] = 2) -> int:
    """Nanoseconds in the unit of timestamps that `name` stands for in InfluxDB's write API of this version, or `AUTO`.

    Raises PrecisionError.
    """
    units = _UNITS[version]
    if name not in units:
        raise PrecisionError(f"The precision {name[:20]!r} is unknown; use one of {', '.join(sorted(units))}.")
    return units[name]


class LineProtocol:
    """A Decoder (see tidemark.bodies.pipeline). `unit` is as `precision` has it, `clock` in µs since 1970 UTC.

    A record is a line that is neither blank nor a comment; lines without a timestamp are of now. Each refused field
    of a line counts as a rejection, and so does a line that cannot be read at all.
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
        """Take the complete lines that have come. Raises BodyError for a line of more than 1 MiB."""
        lines, used = _complete(bytes(self._rest))
        del self._rest[:used]
        self._due = len(self._rest) + PIECE  # a long line is not looked at again with every byte
        yield from self._take(lines, self._rest)

    def finish(self) -> Iterator[Piece]:
        """Take the end of the body, where the newline may be missing. Raises BodyError."""
        lines, used = _complete(bytes(self._rest))
        lines.append(bytes(self._rest[used:]))
        self._rest.clear()
        yield from self._take(lines, self._rest)

    def _take(self, lines: list[bytes], rest: bytearray) -> Iterator[Piece]:
        fitting = len(lines)
        if max(map(len, lines), default=0) > MAX_LINE:
            fitting = next(place for place, line in enumerate(lines) if len(line) > MAX_LINE)
        for start in range(0, fitting, _MAX_LINES):
            yield from self._decode(lines[start : min(start + _MAX_LINES, fitting)])
        if fitting < len(lines) or len(rest) > MAX_LINE:
            raise BodyError(
                f"Line {self._lines} (counted from 0, without blank lines and comments) is longer than {MAX_LINE} "
                "bytes: is there a string without its closing quote?"
            )

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
        piece, others = self._decode_plain(records, sensors)
        if len(others):
            piece = _interleaved(self._decode_exactly(records["text"], others, sensors), piece)
        piece.names = list(sensors)
        piece.index += self._lines
        self._lines += len(records)
        yield piece

    def _decode_plain(self, records: pl.DataFrame, sensors: dict[str, int]) -> tuple[Piece, Integers]:
        """The readings of the lines that are plain; and the places of the others, which may be right or wrong."""
        rows = _split_lines(records, self._unit, self._clock())
        line = rows["line"].to_numpy()
        series = rows["series"]
        distinct = series.unique(maintain_order=True)
        names = [_plain_name(text) for text in distinct.to_list()]
        place = series.replace_strict(distinct, np.arange(len(distinct)), return_dtype=pl.Int64).to_numpy()
        named = np.array([name != "" for name in names], dtype=bool)
        value = _numbers(rows["number"])
        plain = np.ones(len(records), dtype=bool)
        plain[line[~(rows["plain"].to_numpy() & named[place] & (np.abs(value) <= MAX_VALUE))]] = False

        taken = plain[line]
        place = place[taken]
        sensor = np.zeros(len(names), dtype=np.int32)
        for used in np.flatnonzero(np.bincount(place, minlength=len(names))).tolist():
            sensor[used] = sensors.setdefault(names[used], len(sensors))
        piece = Piece(
            names=[],
            sensor=sensor[place],
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
        for place, text in zip(chosen.tolist(), records.gather(chosen).to_list(), strict=True):
            try:
                line = read_line(text, self._unit, self._clock())
            except FieldError as error:
                refused = [error]
            else:
                refused = line.refused
                for name, number in line.readings:
                    sensor.append(sensors.setdefault(name, len(sensors)))
                    at.append(line.at)
                    value.append(number)
                    index.append(place)
            rejected += len(refused)
            rejections += [
                Rejection(self._lines + place, one.field, one.message, (text or "")[:_KEPT])
                for one in refused[: LISTED - len(rejections)]
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
    """One record without blanks at its ends, by all of the rules; None stands for a line that is not UTF-8.

    `unit` is as `precision` has it, `now` in µs since 1970 UTC. Raises FieldError where nothing of the line can be
    used; a field that is no reading (a string, too large, …) only goes to `refused`.
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
            line.refused.append(error)
    return line


@lru_cache(maxsize=_REMEMBERED)  # most bodies are about series that were there a moment ago
def _name(head: str, key: str) -> str:
    """The series name of measurement and tags, and of a field key, all as written. Raises FieldError."""
    measurement, tags = _measurement(head)
    return series_name(measurement, _ESCAPED.sub(r"\1", key), tags)


def _plain_name(series: str) -> str:
    """The series name of measurement and tags and, behind a space, a field key; empty where that is not plain."""
    if "\\" in series:
        return ""
    head, _, key = series.partition(" ")
    try:
        return _name(head, key)
    except FieldError:
        return ""


def _measurement(head: str) -> tuple[str, list[tuple[str, str]]]:
    """Measurement and tags, unescaped."""
    measurement, *rest = _split(head, _BY_COMMA, ",")
    tags = []
    for text in rest:
        pair = _split(text, _BY_EQUALS, "=")
        if len(pair) != 2 or not pair[1]:
            raise FieldError(
                "line", "Every tag is written key=value, neither empty; escape spaces, commas and = with \\."
            )
        tags.append((_ESCAPED.sub(r"\1", pair[0]), _ESCAPED.sub(r"\1", pair[1])))
    return _ESCAPED_IN_MEASUREMENT.sub(r"\1", measurement), tags


def _split(text: str, parts: re.Pattern[str], mark: str) -> list[str]:
    return parts.findall(text) if "\\" in text else text.split(mark)


def _fields(text: str) -> tuple[list[tuple[str, str]], str]:
    """Field keys with their values, and the timestamp or nothing, all as written."""
    fields: list[tuple[str, str]] = []
    end = -1
    while end < 0 or text[end : end + 1] == ",":
        match = _FIELD.match(text, end + 1)
        if match is None:
            raise FieldError(
                "line", "The fields cannot be read: every field is written key=value, with a comma between."
            )
        fields.append((match[1], match[2]))
        end = match.end()
    if end < len(text) and text[end] != " ":
        raise FieldError("line", "The fields cannot be read: a string ends with its closing quote.")
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
            "timestamp", f"{stamp[:_SHOWN]!r} is not a timestamp: an integer in the precision of the request."
        )
    if unit == AUTO:
        unit = next((unit for border, unit in _AUTO_UNITS if abs(raw) < border), 1)
    return check_instant(raw // 1000 if unit == 1 else raw * (unit // 1000), now)


def _instants(raw: pl.Expr, unit: int, latest: int) -> pl.Expr:
    """Microseconds of timestamps of readings, null for those of none; `latest` in microseconds."""
    if unit == AUTO:
        found = raw // 1000
        for border, finer in reversed(_AUTO_UNITS):
            found = pl.when(raw < border).then(raw * (finer // 1000)).otherwise(found)
        return pl.when((raw >= 0) & (found <= latest)).then(found)
    timely = raw.is_between(0, ((latest + 1) * 1000 - 1) // unit)  # of larger ones the product may overflow
    return pl.when(timely).then(raw // 1000 if unit == 1 else raw * (unit // 1000))


def _split_lines(records: pl.DataFrame, unit: int, now: int) -> pl.DataFrame:
    """A row for each field of each line: `line`, `at`, `series`, `number` as written, and whether it looks `plain`."""
    head, fields, stamp, more = (pl.col(f"field_{place}") for place in range(4))
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
            pl.concat_str("head", key, separator=" ").alias("series"),
            number.alias("number"),
            (pl.col("plain") & (key != "") & (number.str.len_bytes() <= _MAX_FAST_NUMBER)).fill_null(value=False),
        )
    )


def _numbers(text: pl.Series) -> Floats:
    """Floats, integers and booleans as written, as doubles; NaN where there is anything else."""
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
    except pl.exceptions.ComputeError:  # one of them, no saying which
        return pl.Series([_text(line) for line in lines], dtype=pl.String)


def _text(line: bytes) -> str | None:
    try:
        return line.decode()
    except UnicodeDecodeError:
        return None


def _complete(text: bytes) -> tuple[list[bytes], int]:
    """The lines that have come to their end, without their newlines; and how many bytes they take."""
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
    """The readings of both in the order of the lines, none of which is in both; rejections come from the first."""
    both = Piece.concat([one, other])
    return both.take(np.argsort(both.index, kind="stable"))
