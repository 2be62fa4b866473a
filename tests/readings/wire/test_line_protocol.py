"""Line protocol into columns: the examples of InfluxDB's reference, and two ways of reading that must agree."""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tidemark.base.errors import FieldError
from tidemark.bodies.outcome import BodyError
from tidemark.readings.wire.line_protocol import (
    AUTO,
    MAX_LINE,
    LineProtocol,
    PrecisionError,
    precision,
    read_line,
)
from tidemark.readings.wire.piece import Piece
from tidemark.readings.wire.series_names import MAX_NAME, series_name

NOW = 1_700_000_000_000_000


@dataclass(frozen=True)
class Decoded:
    """What came out: (index, series, µs, value), (index, field) of the rejections, how many those are."""

    readings: list[tuple[int, str, int, float]]
    rejections: list[tuple[int, str, str]]
    rejected: int


def decoded(columns: Iterable[Piece]) -> Decoded:
    readings: list[tuple[int, str, int, float]] = []
    rejections: list[tuple[int, str, str]] = []
    rejected = 0
    for piece in columns:
        assert set(range(len(piece.names))) == set(piece.sensor.tolist()), "every name has readings"
        names = [piece.names[sensor] for sensor in piece.sensor.tolist()]
        readings += zip(piece.index.tolist(), names, piece.at.tolist(), piece.value.tolist(), strict=True)
        rejections += [(one.index, one.field, one.message) for one in piece.rejections]
        rejected += piece.rejected
    return Decoded(readings, rejections, rejected)


def decode(*parts: bytes, unit: int = 1) -> Decoded:
    decoder = LineProtocol(unit, lambda: NOW)
    pieces = [piece for part in parts for piece in decoder.feed(part)]
    return decoded([*pieces, *decoder.finish()])


def one(line: str) -> list[tuple[str, int, float]]:
    """The readings of a line that has nothing wrong: series, µs, value."""
    result = decode(line.encode())
    assert result.rejected == 0, result.rejections
    return [reading[1:] for reading in result.readings]


def refusal(line: bytes) -> tuple[str, str]:
    """Field and message of a line that gives no reading."""
    result = decode(line)
    assert (len(result.readings), result.rejected) == (0, 1)
    return result.rejections[0][1:]


@pytest.mark.parametrize(
    ("line", "readings"),
    [
        ("weather,location=us-midwest temperature=82 1465839830100400200",
         [("weather.temperature{location=us-midwest}", 1465839830100400, 82.0)]),
        ("weather,location=us-midwest,season=summer temperature=82,humidity=71 1465839830100400200",
         [("weather.temperature{location=us-midwest,season=summer}", 1465839830100400, 82.0),
          ("weather.humidity{location=us-midwest,season=summer}", 1465839830100400, 71.0)]),
        ("weather,season=summer,location=us-midwest temperature=82",
         [("weather.temperature{location=us-midwest,season=summer}", NOW, 82.0)]),
        ("weather temperature=82i 1465839830100400200", [("weather.temperature", 1465839830100400, 82.0)]),
        ("weather temperature=82u", [("weather.temperature", NOW, 82.0)]),
        (r"weather,location=us\,midwest temperature=82", [(r"weather.temperature{location=us\,midwest}", NOW, 82.0)]),
        (r"weather,location=us-midwest temp\=rature=82", [(r"weather.temp\=rature{location=us-midwest}", NOW, 82.0)]),
        (r"weather,location\ place=us-midwest temperature=82",
         [("weather.temperature{location place=us-midwest}", NOW, 82.0)]),
        (r"wea\,ther,location=us-midwest temperature=82", [(r"wea\,ther.temperature{location=us-midwest}", NOW, 82.0)]),
        (r"wea\ ther,location=us-midwest temperature=82", [("wea ther.temperature{location=us-midwest}", NOW, 82.0)]),
        (r'weather,location="us-midwest" "temperature"=82',
         [('weather."temperature"{location="us-midwest"}', NOW, 82.0)]),
        (r"m,path=C:\\\\dir\file a=1", [(r"m.a{path=C:\\\\dir\\file}", NOW, 1.0)]),
        ("m,emoji=🍭 é=1", [("m.é{emoji=🍭}", NOW, 1.0)]),
        ("  m  a=1   1000  \r", [("m.a", 1, 1.0)]),
        ("cpu.load five.min=1", [(r"cpu.load.five\.min", NOW, 1.0)]),
    ],
)  # fmt: skip
def test_the_reference(line: str, readings: list[tuple[str, int, float]]) -> None:
    assert one(line) == readings


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("1", 1.0), ("-1.5", -1.5), (".5", 0.5), ("1.", 1.0), ("-1.234456e+78", -1.234456e78), ("1E-3", 0.001),
        ("-0", -0.0), ("-0.0", -0.0), ("-0i", 0.0),
        ("9223372036854775807i", 2.0**63), ("-9223372036854775808i", -(2.0**63)),
        ("18446744073709551615u", 2.0**64), ("9007199254740993i", 9007199254740992.0), ("1e150", 1e150),
        *((text, 1.0) for text in ("t", "T", "true", "True", "TRUE")),
        *((text, 0.0) for text in ("f", "F", "false", "False", "FALSE")),
    ],
)  # fmt: skip
def test_values(written: str, value: float) -> None:
    line = f"m a={written}"
    assert repr(one(line)) == repr([("m.a", NOW, value)])
    assert repr(read_line(line, 1, NOW).readings) == repr([("m.a", value)])


@pytest.mark.parametrize(
    "written", ["nan", "inf", "-Infinity", "1e151", "1e400", "1.5i", "1e3i", "-1u", "9223372036854775808i", "tRUE", "x"]
)
def test_values_that_are_none(written: str) -> None:
    assert refusal(f"m a={written} 1000".encode())[0] == "a"


def test_a_string_is_refused_and_the_other_fields_of_its_line_are_stored() -> None:
    result = decode(b'm a=1,s="x \\"y\\", z=1\n# \\\\",b=2i 1000\nm c=3 2000\n')
    assert result.readings == [(0, "m.a", 1, 1.0), (0, "m.b", 1, 2.0), (1, "m.c", 2, 3.0)]
    assert [(index, field) for index, field, _ in result.rejections] == [(0, "s")]
    assert "string" in result.rejections[0][2]


def test_comments_and_blank_lines_are_not_counted() -> None:
    result = decode(b'# a "comment\r\n\r\nm a=1\r\n \t\n  # more\nm a=oops\nm a=3')
    assert [reading[0] for reading in result.readings] == [0, 2]
    assert [(index, field) for index, field, _ in result.rejections] == [(1, "a")]


@pytest.mark.parametrize(
    ("line", "field"),
    [
        (b"m", "line"), (b"m,t=1", "line"), (b"m a", "line"), (b"m a=", "line"), (b"m =1", "line"), (b"m a=1,", "line"),
        (b"m a=1,b", "line"), (b'm a="x', "line"), (b'm a="x"y', "line"), (b"m \xff=1", "line"),
        (b"m,t a=1", "line"), (b"m,t= a=1", "line"), (b"m,=v a=1", "series"), (b"m,t=a=b a=1", "line"),
        (b"m,t=1,t=2 a=1", "series"), (b",t=1 a=1", "series"), (b"m,t=\x01 a=1", "series"),
        (b"m," + b"t" * MAX_NAME + b"=v a=1", "series"),
        (b"m a=1 x", "timestamp"), (b"m a=1 1.5", "timestamp"), (b"m a=1 -1", "timestamp"), (b"m a=1 1 1", "timestamp"),
        (b"m a=1 1700086400000001000", "timestamp"), (b"m a=1 99999999999999999999", "timestamp"),
        (b"m a=1 b=2", "timestamp"),
    ],
)  # fmt: skip
def test_lines_that_cannot_be_used(line: bytes, field: str) -> None:
    assert refusal(line)[0] == field


@pytest.mark.parametrize(
    ("name", "at"),
    [("n", 5_999), ("ns", 5_999), ("us", 5), ("u", 5), ("µ", 5), ("ms", 5), ("s", 5), ("m", 5), ("h", 5)],
)
def test_precision(name: str, at: int) -> None:
    unit = precision(name, version=1)
    assert decode(f"m a=1 {at}\nm a=-1 -1".encode(), unit=unit).readings == [(0, "m.a", 5 * max(unit // 1000, 1), 1.0)]
    ahead = (NOW + 86_400_000_000) * 1000 // unit
    result = decode(f"m a=1 {ahead}\nm a=1 {ahead + max(1000 // unit, 1)}".encode(), unit=unit)
    assert [reading[0] for reading in result.readings] == [0]


@pytest.mark.parametrize(
    ("name", "version"), [("minutes", 1), ("", 1), ("m", 2), ("n", 2), ("auto", 2), ("second", 1), ("n", 3), ("", 3)]
)
def test_unknown_precision(name: str, version: Literal[1, 2, 3]) -> None:
    with pytest.raises(PrecisionError, match="use one of"):
        precision(name, version)


@pytest.mark.parametrize(
    ("stamp", "at"),
    [
        (0, 0), (1_500_000_000, 1_500_000_000_000_000), (1_500_000_000_123, 1_500_000_000_123_000),
        (1_500_000_000_123_456, 1_500_000_000_123_456), (1_500_000_000_123_456_789, 1_500_000_000_123_456),
        (5 * 10**12, 5 * 10**12), (5 * 10**15, 5 * 10**12), (5 * 10**15 - 1, None), (5 * 10**12 - 1, None),
        (5 * 10**9 - 1, None), (5 * 10**9, 5 * 10**12), (-1, None), (2**63, None),
    ],
)  # fmt: skip
def test_precision_by_the_size_of_each_timestamp(stamp: int, at: int | None) -> None:
    assert precision("auto", 3) == AUTO
    result = decode(f"m a=1 1500000000\nm a=2 {stamp}".encode(), unit=AUTO)
    assert [reading[2] for reading in result.readings] == [1_500_000_000_000_000] + ([] if at is None else [at])


@pytest.mark.parametrize("line", [b"m a=" + b"1" * MAX_LINE, b'm a="' + b"x\n" * MAX_LINE])
@pytest.mark.parametrize("end", [b"", b"\nm a=1\n"])
@pytest.mark.parametrize("size", [70_000, 1 << 30])
def test_an_endless_line_ends_the_body(line: bytes, end: bytes, size: int) -> None:
    body = b"m a=1\n" * 5 + line + end
    decoder = LineProtocol(1, lambda: NOW)
    taken = 0
    with pytest.raises(BodyError, match=r"Line 5 .* longer"):  # noqa: PT012 - what came before is counted too
        for start in range(0, len(body), size):
            for piece in decoder.feed(body[start : start + size]):
                taken += len(piece)
        for piece in decoder.finish():
            taken += len(piece)
    assert taken == 5


# Parts of lines, whole and broken, which meet each other in all ways.
_names = st.sampled_from(["m", "cpu", "a.b", r"a\ b", r"a\,b", r"a\=b", '"q"', "é", "{", "\\", "\x00", "t" * 1_990])
_values = st.one_of(
    st.sampled_from(
        ["1", "-0", "+1", "1i", "+1i", "-1u", "1u", "t", "False", "nan", "inf", "1e999", "1e-400", "", "1_0"]
    ),
    st.sampled_from(['"x"', '"a b"', '"a,b=1"', '"a\nb=1"', r'"\""', r'"\\"', '"', "0" * 150 + "1", "0" * 30 + "1i"]),
    st.floats().map(repr),
    st.integers(-(2**65), 2**65).map(lambda number: f"{number}i"),
)
_stamps = st.one_of(
    st.sampled_from(["", " ", " 1", " +1", " -1", " x", "  17", " 1 1"]),
    st.integers(0, 2**61).map(" {}".format),
    st.builds(" {}".format, st.builds(int.__mul__, st.integers(0, 2**20), st.sampled_from([10**3, 10**6, 10**9]))),
    st.sampled_from([f" {border + step}" for border in (5 * 10**9, 5 * 10**12, 5 * 10**15) for step in (-1, 0)]),
)
_pairs = st.builds("{}={}".format, _names, _values)
_lines = st.builds(
    "{}{} {}{}".format,
    _names,
    st.lists(st.builds(",{}={}".format, _names, _names), max_size=3).map("".join),
    st.lists(_pairs, min_size=1, max_size=3).map(",".join),
    _stamps,
)
_mangled = st.builds(
    lambda line, place, text: line[: place % (len(line) + 1)] + text + line[place % (len(line) + 1) + 1 :],
    _lines,
    st.integers(0, 200),
    st.sampled_from(["", " ", ",", "=", "\\", '"', "\n", "\r", "\t", "#", "i", "\ud800"]),
)
_nearly_regular = st.one_of(
    st.text("m1=, #+-.\x1f\ufeff", max_size=16),
    st.builds("m{}a={}{}1{}".format, *[st.sampled_from(["", " ", "  ", ",", "=", ",b=", " =", ", "])] * 4),
    st.builds("m,t={} a={} {}".format, st.text("ab", min_size=1), st.integers(), st.integers(0, 2**65)),
)
"""Lines of the form that is read as columns of bytes, and others that differ from it in a mark."""
_bodies = st.lists(
    st.one_of(_lines, _mangled, _nearly_regular, st.sampled_from(["", "# x", ' # "', "\t"])), max_size=6
).map(lambda lines: "\n".join(lines).encode(errors="surrogatepass"))


@given(st.one_of(_lines, _mangled, _nearly_regular), st.sampled_from([1, AUTO]))
def test_the_columns_agree_with_the_single_line(line: str, unit: int) -> None:
    agree(line, unit)


def agree(line: str, unit: int) -> None:
    text = line.strip(" \t\r")
    if "\n" in text or "\ud800" in text or not text or text.startswith("#"):
        return  # more than one record, or none
    result = decode(line.encode(), unit=unit)
    try:
        expected = read_line(text, unit, NOW)
    except FieldError as error:
        refused = (0, error.field, error.message)
        assert result == Decoded([], [refused], 1)
    else:
        assert result.readings == [(0, name, expected.at, value) for name, value in expected.readings]
        assert result.rejections == [(0, error.field, error.message) for error in expected.rejected]
        assert result.rejected == len(expected.rejected)


@pytest.mark.parametrize(
    "line",
    ["\ufeffm a=1 1", "m a=1 1 a=1 1", "m\x1fb a=1 1", "m a=1\x1f1 1", "m a=1", "m a=1,b=2 1", "m a==1 1"],
)
def test_a_line_that_only_looks_regular(line: str) -> None:
    agree(line, 1)
    regular = "m,t=a a=1 1"
    for body, place in (([line, regular], -1), ([regular, line], 0)):
        beside = decode("\n".join(body).encode())
        assert beside.readings[place][1:] == ("m.a{t=a}", 0, 1.0)
        assert len(beside.readings) == 1 + len(decode(line.encode()).readings)


def test_a_comment_that_looks_regular() -> None:
    assert [reading[:2] for reading in decode(b"m a=1 1\n# a=1 1\nm b=1 1").readings] == [(0, "m.a"), (1, "m.b")]


@given(
    st.lists(_nearly_regular, max_size=2), st.sampled_from(["m,t=a a=1 1", "é b=2.5 2000", "m a=1i 3000", "m a=1,b=2"])
)
def test_each_line_of_a_body_is_read_as_if_it_were_alone(lines: list[str], line: str) -> None:
    lines = [line, *lines, line]
    whole = decode("\n".join(lines).encode())
    alone = [decode(one.encode()) for one in lines]
    assert [reading[1:] for reading in whole.readings] == [reading[1:] for one in alone for reading in one.readings]
    assert [rest for _, *rest in whole.rejections] == [rest for one in alone for _, *rest in one.rejections]
    records = [one for one in lines if one.strip(" ") and not one.strip(" ").startswith("#")]
    assert whole.readings[-1][0] == len(records) - 1


@given(_bodies, st.lists(st.integers(0, 400), max_size=5))
def test_however_a_body_is_split(body: bytes, cuts: list[int]) -> None:
    places = [0, *sorted(cuts), len(body)]
    assert decode(*(body[start:end] for start, end in pairwise(places))) == decode(body)


def test_pieces_of_a_long_body_are_those_of_its_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = [f'm,h={number % 7} a={number}i,s="\n{number}",b={number / 3} {number}000' for number in range(300)]
    body = "\n".join(lines).encode()
    whole = decode(body)
    assert len(whole.readings) == 600
    assert whole.rejected == 300
    monkeypatch.setattr("tidemark.readings.wire.line_protocol.PIECE", 100)
    small = decode(*(body[start : start + 37] for start in range(0, len(body), 37)))
    assert small.readings == whole.readings
    assert small.rejected == 300


@given(st.one_of(st.binary(max_size=200), _bodies.map(lambda body: body.replace(b"1", b"\xff"))))
def test_random_bytes_are_refused_and_no_more(body: bytes) -> None:
    decode(body)


_texts = st.text("ab.,={}\\ ", min_size=1, max_size=4)
_series = st.tuples(_texts, _texts, st.dictionaries(_texts, _texts, max_size=2))


@given(_series, _series)
def test_different_series_have_different_names(
    one: tuple[str, str, dict[str, str]], other: tuple[str, str, dict[str, str]]
) -> None:
    names = {series_name(measurement, field, tags.items()) for measurement, field, tags in (one, other)}
    assert len(names) == (1 if one == other else 2)
    metrics = {series_name(None, field, tags.items()) for _, field, tags in (one, other)}
    assert metrics.isdisjoint(names)


@given(_series)
def test_what_a_client_escapes_arrives(series: tuple[str, str, dict[str, str]]) -> None:
    measurement, field, tags = series
    escape = str.maketrans({mark: "\\" + mark for mark in "\\,= "})
    written = "".join(f",{key.translate(escape)}={value.translate(escape)}" for key, value in tags.items())
    head = measurement.translate({**escape, ord("="): "="})
    line = f"{head}{written} {field.translate(escape)}=1"
    assert one(line) == [(series_name(measurement, field, tags.items()), NOW, 1.0)]
