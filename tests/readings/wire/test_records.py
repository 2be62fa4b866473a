"""JSON arrays, NDJSON and CSV give what the rules for single values give, in whatever pieces a body comes."""

import csv
import io
import json
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction
from functools import partial
from itertools import pairwise
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tidemark.base.errors import FieldError
from tidemark.base.values import EPOCH_UNITS, Clock, parse_epoch, parse_instant
from tidemark.bodies import lines
from tidemark.bodies.outcome import BodyError, Rejection
from tidemark.bodies.pipeline import Decoder
from tidemark.readings.optional_columns import OPTIONAL, JsonColumn, OptionalColumn
from tidemark.readings.reading import Reading
from tidemark.readings.wire.csv_rows import CsvDecoder
from tidemark.readings.wire.instants import parse_epochs, parse_instants
from tidemark.readings.wire.json_array import JsonArrayDecoder
from tidemark.readings.wire.ndjson import NdjsonDecoder
from tidemark.readings.wire.piece import Piece
from tidemark.readings.wire.records import FIELDS, REQUIRED, Records, read_record, to_columns

NOW = int(datetime(2030, 1, 1, tzinfo=UTC).timestamp()) * 1_000_000
MIB = 1024 * 1024

Format = Callable[[Clock], Decoder[Piece]]
Outcome = tuple[list[tuple[int, Reading]], list[Rejection], str | None]

numerals = "0123456789"
instants = st.one_of(
    st.builds(
        "{:04}-{:02}-{:02}{}{:02}:{:02}:{:02}{}{}".format,
        st.sampled_from([0, 1, 1899, 1969, 1970, 1999, 2000, 2024, 2029, 2030, 2100, 9999]),
        st.integers(0, 13),
        st.sampled_from([0, 1, 15, 28, 29, 30, 31, 32]),
        st.sampled_from("TTTt _"),
        st.integers(0, 24),
        st.sampled_from([0, 30, 59, 60]),
        st.sampled_from([0, 30, 59, 60]),
        st.builds(str.__add__, st.sampled_from(["", ".", ",", ";"]), st.text(numerals, max_size=31)),
        st.sampled_from(
            ["", "Z", "z", " Z", "+02:00", "-0330", "+14", " +0000", "+24:00", "-00:60", "Z\0", "Zz", "+1"]
        ),
    ),
    st.datetimes(datetime(1970, 1, 1), datetime(2030, 1, 1)).map(lambda at: at.isoformat() + "Z"),  # noqa: DTZ001
    st.sampled_from(
        ["2024-05-06", "2024-05-06T07:08", "", "now", "２０２４-05-06T07:08:09Z", "2024-05-06T07:08:09Z\n"]
    ),
)
number_texts = st.one_of(
    st.floats().map(repr),
    st.text("0123456789+-.eE", max_size=6),
    st.sampled_from(["", " 1", "1_0", "1\n2", "0x1", "9" * 401, "1e400", "-0", "1e150", "1e151", "90.5", "180.5", "٣"]),
)
numbers = st.one_of(number_texts, st.floats(allow_nan=False, allow_infinity=False), st.floats(-200, 200))
sensors = st.sampled_from(
    ["a", "b", "\ufeffb", " b", "sensor, with a comma", 'a "quoted" one', "Zürich", "", "\0", "x\ny"]
)
documents = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text('aé\n"☃', max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("ab", max_size=3), inner, max_size=3),
    max_leaves=4,
)
metadata_texts = documents.map(json.dumps) | st.sampled_from(["{", "null", "[" * 2000, json.dumps("é" * 33_000)])


def optional(**given: Any) -> tuple[Any, ...]:
    """The optional values of a reading that has only these."""
    return tuple(given.get(column.name) for column in OPTIONAL)


def decode(form: Format, body: bytes, cuts: Iterable[int] = ()) -> Outcome:
    """Readings with their index, rejections, and the error that ended the body, if any."""
    decoder = form(lambda: NOW)
    bounds = sorted({0, len(body), *(cut for cut in cuts if cut < len(body))})
    readings: list[tuple[int, Reading]] = []
    rejections: list[Rejection] = []

    def take(pieces: Iterable[Piece]) -> None:
        for piece in pieces:
            assert piece.rejected == len(piece.rejections)
            readings.extend(rows(piece))
            rejections.extend(piece.rejections)

    try:
        for start, end in pairwise(bounds):
            take(decoder.feed(body[start:end]))
        take(decoder.finish())
    except BodyError as error:
        return readings, rejections, str(error)
    return readings, rejections, None


def rows(piece: Piece) -> list[tuple[int, Reading]]:
    optional = [
        [None if value != value else value for value in piece.optional[column.name].tolist()]
        if column.name in piece.optional
        else [None] * len(piece)
        for column in OPTIONAL
    ]
    names = [piece.names[place] for place in piece.sensor]
    readings = map(Reading, names, piece.at.tolist(), piece.value.tolist(), zip(*optional, strict=True))
    return list(zip(piece.index.tolist(), readings, strict=True))


def exactly(records: Records, unit: str | None = None) -> Outcome:
    """What the rules for single values make of records."""
    readings: list[tuple[int, Reading]] = []
    rejections: list[Rejection] = []
    for row, index in enumerate(records.index):
        try:
            readings.append((index, read_record(records, row, NOW, unit)))
        except FieldError as error:
            rejections.append(Rejection(index, error.field, error.message))
    return readings, rejections, None


@st.composite
def tables(draw: st.DrawFn, number: st.SearchStrategy[str | float] = numbers) -> Records:
    """Records with anything in them, good and bad."""
    size = draw(st.integers(0, 12))

    def column(of: st.SearchStrategy[Any]) -> list[Any]:
        return draw(st.lists(of, min_size=size, max_size=size))

    optional = {
        one.name: column(st.none() | (metadata_texts.map(str.encode) if isinstance(one, JsonColumn) else number))
        for one in OPTIONAL
        if draw(st.booleans())
    }
    plain = draw(st.booleans())
    good_instants = st.sampled_from(
        ["2024-05-06T07:08:09.123Z", "1970-01-01T00:00:00.000Z", "2024-02-29T23:59:59+01:00"]
    )
    return Records(
        list(range(size)),
        column(sensors),
        column(good_instants if plain else instants),
        column(st.floats(-1e9, 1e9).map(repr) if plain else number),
        optional,
    )


def named(records: Records, row: int) -> dict[str, Any]:
    """A record as an object; what it lacks is left out."""
    columns = {name: getattr(records, name) for name in REQUIRED} | dict(records.optional)
    return {name: column[row] for name, column in columns.items() if column[row] is not None}


def as_object(record: dict[str, Any]) -> str:
    parts = (f"{json.dumps(k)}: {v.decode() if isinstance(v, bytes) else json.dumps(v)}" for k, v in record.items())
    return "{" + ", ".join(parts) + "}"


DOCUMENTS = {column.name for column in OPTIONAL if isinstance(column, JsonColumn)}


def is_json(text: bytes | None) -> bool:
    return text is None or (len(text) < 1000 and text != b"{") or text.startswith(b'"')


@given(tables())
def test_columns_agree_with_the_rules_for_single_values(records: Records) -> None:
    piece = to_columns(records, [], NOW)
    assert repr((rows(piece), piece.rejections, None)) == repr(exactly(records))  # which tells −0 from 0
    assert set(piece.names) == {reading.sensor_id for _, reading in rows(piece)}


@pytest.mark.parametrize("day", ["2024-05-06T07:08:09", "2024-05-06 07:08:09", "2024-05-06t07:08:09"])
@pytest.mark.parametrize("fraction", ["", ".1", ",123", ".123456", ".123456789"])
@pytest.mark.parametrize("offset", ["", "Z", "z", " Z", "+00:00", "-0330", "+14", " +05:45"])
def test_the_common_shapes_of_timestamps_are_parsed_at_once(day: str, fraction: str, offset: str) -> None:
    text = day + fraction + offset
    at, known = parse_instants([text, "2024-05-06", text])
    assert known.tolist() == [True, False, True]
    assert at[0] == at[2] == parse_instant(text)


epochs = st.one_of(
    st.integers(0, 2**70).map(str),
    st.decimals(0, 2 * 10**12, allow_nan=False, allow_infinity=False).map(lambda number: f"{number:f}"),
    st.sampled_from(
        [
            "1.7e9",
            "-1",
            "-0.0000001",
            "1e999999",
            "1e-999999",
            "1e" + "9" * 30,
            "-0e-" + "9" * 30,
            "+5",
            "5.",
            ".5",
            "1.5.2",
            "9" * 401,
            "١٢",
        ]
    ),
    st.sampled_from([""]) | instants,
)
units = st.sampled_from(sorted(EPOCH_UNITS))


@given(st.lists(epochs, max_size=12), units, st.booleans())
def test_epoch_numbers_in_columns_agree_with_the_rule_for_single_ones(
    texts: list[str], unit: str, with_unit: bool
) -> None:
    size = len(texts)
    records = Records(list(range(size)), ["a"] * size, texts, ["1"] * size)
    known = unit if with_unit else None
    piece = to_columns(records, [], NOW, known)
    assert (rows(piece), piece.rejections, None) == exactly(records, known)


@given(st.decimals(0, 2**63 // 10**6, allow_nan=False, allow_infinity=False), units)
def test_epoch_numbers_keep_all_digits_down_to_microseconds(number: Decimal, unit: str) -> None:
    exact = Fraction(number) * Fraction(10) ** EPOCH_UNITS[unit]
    for text in (f"{number:f}", f"{number:e}", f"+{number:f}"):
        assert parse_epoch(text, unit) == exact // 1
    at, known = parse_epochs([f"{number:f}"], unit)
    assert (at[0], known[0]) in ((exact // 1, True), (0, False))


@pytest.mark.parametrize(("text", "unit"), [
    ("1700000000.25", "s"), ("1700000000250", "ms"), ("1700000000250.0004", "ms"), ("1700000000250000", "us"),
    ("1700000000250000999", "ns"),
])  # fmt: skip
def test_plain_epoch_numbers_are_parsed_at_once(text: str, unit: str) -> None:
    at, known = parse_epochs([text, "2024-05-06"], unit)
    assert (at[0], known.tolist()) == (1_700_000_000_250_000, [True, False])


AS_JSON = '{{"sensor":"a","value":1,"timestamp":{}}}'
STAMPS = ["1700000000.123456", '"1700000000.123456"', '"\\u0031700000000.123456"', "1.700000000123456e9"]


@pytest.mark.parametrize("stamp", [*STAMPS, '"2023-11-14T22:13:20.123456Z"'])
def test_json_numbers_are_read_as_they_stand_there(stamp: str) -> None:
    text = AS_JSON.format(stamp)
    good = Reading("a", 1_700_000_000_123_456, 1.0, optional())
    for form, body in ((NdjsonDecoder, text), (JsonArrayDecoder, f"[{text}]"), (JsonArrayDecoder, f"[{text},7]")):
        readings, _, _ = decode(partial(form, unit="s"), body.encode())
        assert readings == [(0, good)]
        readings, rejections, _ = decode(form, body.encode())
        if stamp[1:5] == "2023":
            assert readings == [(0, good)]
        else:
            assert (readings, rejections[0].field) == ([], "timestamp")
            assert "timestamp_unit" in rejections[0].message


@pytest.mark.parametrize("stamp", ["null", "true", "[1]", '{"a":1}', '""', '"\\ud800"', '"x"', "1e400"])
def test_what_is_no_timestamp_is_none_with_a_unit_either(stamp: str) -> None:
    for form, body in ((NdjsonDecoder, "{}"), (JsonArrayDecoder, "[{}]")):
        _, rejections, ended = decode(partial(form, unit="s"), body.format(AS_JSON.format(stamp)).encode())
        assert (len(rejections), ended) in ((1, None), (0, ended))


def test_csv_cells_are_numbers_or_iso_with_a_unit() -> None:
    body = f'{HEADER}\na,1700000000.5,1\na,2023-11-14T22:13:20.5Z,2\n"a",1700000000500e-3,3\n'
    readings, rejections, _ = decode(partial(CsvDecoder, unit="s"), body.encode())
    assert [(index, reading.at) for index, reading in readings] == [(n, 1_700_000_000_500_000) for n in range(3)]
    assert rejections == []
    _, rejections, _ = decode(CsvDecoder, body.encode())
    assert [(one.index, one.field) for one in rejections] == [(0, "timestamp"), (2, "timestamp")]
    assert all("timestamp_unit" in one.message for one in rejections)


@given(tables())
@settings(max_examples=50)
def test_json_agrees_with_the_rules_for_single_values(records: Records) -> None:
    records.optional = {
        name: [value if is_json(value) else None for value in column] if name in DOCUMENTS else column
        for name, column in records.optional.items()
    }
    objects = [as_object(named(records, row)) for row in range(len(records.index))]
    expected = exactly(records)
    assert decode(JsonArrayDecoder, f"[{','.join(objects)}]".encode()) == expected
    assert decode(NdjsonDecoder, "\n".join(objects).encode()) == expected


@given(tables(number_texts), st.permutations(FIELDS), st.sampled_from(OPTIONAL))
@settings(max_examples=50)
def test_csv_agrees_with_the_rules_for_single_values(
    records: Records, header: list[str], left_out: OptionalColumn
) -> None:
    header = [name for name in header if name != left_out.name]
    records.optional = {
        name: [cell or None for cell in column] for name, column in records.optional.items() if name in header
    }
    records.sensor = [sensor.replace("\0", "") for sensor in records.sensor]
    text = io.StringIO()
    writer = csv.DictWriter(text, header)
    writer.writeheader()
    for row in range(len(records.index)):
        record = named(records, row)
        writer.writerow({name: cell.decode() if isinstance(cell, bytes) else cell for name, cell in record.items()})
    assert decode(CsvDecoder, text.getvalue().encode()) == exactly(records)


@given(tables(number_texts), st.permutations(REQUIRED), st.sampled_from(["\n", "\r\n"]))
def test_plain_csv_agrees_with_the_rules_for_single_values(records: Records, header: list[str], end: str) -> None:
    def plain(column: Iterable[Any]) -> list[str]:
        return [cell.translate(dict.fromkeys(map(ord, ',"\r\n'))) for cell in column]

    records = Records(records.index, plain(records.sensor), plain(records.timestamp), plain(records.value))
    lines = [header, *([getattr(records, name)[row] for name in header] for row in range(len(records.index)))]
    body = "".join(",".join(cells) + end for cells in lines).encode()
    assert repr(decode(CsvDecoder, body)) == repr(exactly(records))
    assert repr(decode(CsvDecoder, body, range(0, len(body), 50))) == repr(exactly(records))


GOOD_JSON = '{"sensor":"a","timestamp":"2024-05-06T07:08:09Z","value":1.5}'
GOOD_ROW = "a,2024-05-06T07:08:09Z,1.5"
HEADER = "sensor,timestamp,value"
GOOD = Reading("a", 1_714_979_289_000_000, 1.5, optional())

bodies = st.one_of(
    st.binary(max_size=200),
    st.lists(
        st.sampled_from(
            [
                GOOD_JSON,
                GOOD_ROW,
                '"a"',
                '"',
                ",",
                "\n",
                "\r\n",
                "\r",
                "[",
                "]",
                "{",
                "}",
                "1",
                "\0",
                "é",
                "\ufeff",
                " ",
            ]
        )
    ).map(lambda parts: "".join(parts).encode()),
    st.lists(st.binary(max_size=9) | st.just(GOOD_JSON.encode()), max_size=9).map(b"\n".join),
)
csv_bodies = bodies.map(lambda body: f"{HEADER}\n".encode() + body) | bodies


@pytest.mark.parametrize("form", [JsonArrayDecoder, NdjsonDecoder, CsvDecoder])
@given(st.data())
def test_a_body_in_pieces_is_the_same_body(form: Format, data: st.DataObject) -> None:
    body = data.draw(csv_bodies if form is CsvDecoder else bodies)
    cuts = data.draw(st.lists(st.integers(0, 200)))
    piece_bytes, record_bytes = data.draw(st.tuples(st.integers(1, 60), st.integers(60, 200)))
    with (
        patch.object(lines, "MAX_RECORD", record_bytes),
        patch("tidemark.readings.wire.csv_rows.MAX_RECORD", record_bytes),
    ):
        whole = decode(form, body)
        with patch.object(lines, "_PIECE", piece_bytes):
            assert decode(form, body, cuts)[:2] == whole[:2]
            assert (decode(form, body, cuts)[2] is None) == (whole[2] is None)


@pytest.mark.parametrize("form", [NdjsonDecoder, CsvDecoder])
def test_a_long_body_comes_out_while_it_comes_in(form: Format) -> None:
    decoder = form(lambda: NOW)
    line = f"{GOOD_ROW}\n" if form is CsvDecoder else f"{GOOD_JSON}\r\n"
    body = (f"\ufeff{HEADER}\n" if form is CsvDecoder else "\ufeff").encode() + line.encode() * 60_000
    sizes = [[len(piece) for piece in decoder.feed(body[at : at + 64 * 1024])] for at in range(0, len(body), 64 * 1024)]
    last = [len(piece) for piece in decoder.finish()]
    pieces = [size for some in sizes for size in some]
    assert sum(pieces) + sum(last) == 60_000
    assert max(pieces) <= 20_000
    assert len(pieces) >= 3
    assert sum(last) < 15_000


@pytest.mark.parametrize(
    ("form", "body"),
    [
        (NdjsonDecoder, f"{GOOD_JSON}\n" * 45_000),
        (CsvDecoder, f"{HEADER}\n" + f"{GOOD_ROW}\n" * 45_000),
        (JsonArrayDecoder, "[" + ",".join([GOOD_JSON] * 45_000) + "]"),
    ],
    ids=["ndjson", "csv", "json"],
)
def test_a_body_that_comes_at_once_comes_out_in_pieces(form: Format, body: str) -> None:
    decoder = form(lambda: NOW)
    pieces = [*decoder.feed(body.encode()), *decoder.finish()]
    assert max(map(len, pieces)) <= 20_000
    assert [index for piece in pieces for index in piece.index.tolist()] == list(range(45_000))


@pytest.mark.parametrize(
    ("record", "field"),
    [
        ('{"sensor": 1, "timestamp": "2024-05-06T07:08:09Z", "value": 1}', "sensor"),
        ('{"timestamp": "2024-05-06T07:08:09Z", "value": 1}', "sensor"),
        ('{"sensor": "a", "timestamp": 5, "value": 1}', "timestamp"),
        ('{"sensor": "a", "timestamp": "2024-05-06T07:08:09Z"}', "value"),
        ('{"sensor": "a", "timestamp": "2024-05-06T07:08:09Z", "value": null}', "value"),
        ('{"sensor": "a", "timestamp": "2024-05-06T07:08:09Z", "value": true}', "value"),
        ('{"sensor": "a", "timestamp": "2024-05-06T07:08:09Z", "value": 1e400}', "value"),
        ('{"sensor": "a", "timestamp": "2024-05-06T07:08:09Z", "value": 1, "latitude": []}', "latitude"),
        ('{"sensor": "a", "timestamp": "2024-05-06T07:08:09Z", "value": 1, "latitude": "north"}', "latitude"),
        ("[]", ""),
        ("7", ""),
    ],
)
def test_a_record_of_the_wrong_kind_names_the_field(record: str, field: str) -> None:
    array = decode(JsonArrayDecoder, f"[{GOOD_JSON},{record},{GOOD_JSON}]".encode())
    assert decode(NdjsonDecoder, f"{GOOD_JSON}\n\n{record}\n{GOOD_JSON}".encode()) == array
    readings, rejections, error = array
    assert readings == [(0, GOOD), (2, GOOD)]
    assert [(each.index, each.field) for each in rejections] == [(1, field)]
    assert rejections[0].message
    assert error is None


@pytest.mark.parametrize(
    "line", ["x", "{", GOOD_JSON + GOOD_JSON, '{"sensor":', "\x00", '{"a":' + "[" * 100_000, "NaN"]
)
def test_a_line_that_is_not_json_does_not_end_ndjson(line: str) -> None:
    readings, rejections, error = decode(NdjsonDecoder, f" \n{GOOD_JSON}\r\n{line}\n\n{GOOD_JSON}".encode())
    assert readings == [(0, GOOD), (2, GOOD)]
    assert [(each.index, each.field) for each in rejections] == [(1, "")]
    assert error is None


@pytest.mark.parametrize(
    "body", ["", " \n", "{}", "7", "[", "[1", "[1]]", "\x00", "[" * 100_000, '[{"a":' + "[" * 100_000]
)
def test_what_is_no_json_array_is_refused(body: str) -> None:
    readings, rejections, error = decode(JsonArrayDecoder, body.encode())
    assert not readings
    assert not rejections
    assert error


def test_fields_that_are_unknown_or_null_count_as_absent() -> None:
    record = (
        '{"sensor":"a","unit":[{}],"timestamp":"2024-05-06T07:08:09Z","value":"1.5","latitude":null,"metadata":null}'
    )
    assert decode(NdjsonDecoder, record.encode()) == ([(0, GOOD)], [], None)
    assert decode(JsonArrayDecoder, f"\ufeff[{record}]".encode()) == ([(0, GOOD)], [], None)


def test_rows_in_any_quoting_and_column_order() -> None:
    body = (
        '\ufeffvalue,"metadata",sensor,timestamp,latitude\r\n'
        '"1.5","{""a"":\r\n\r\n1}","a ""b"", c",2024-05-06T07:08:09Z,\r\n'
        "\r\n"
        "1.5,,a,2024-05-06T07:08:09Z,47"
    )
    first = Reading('a "b", c', GOOD.at, GOOD.value, optional(metadata='{"a":1}'))
    second = Reading("a", GOOD.at, GOOD.value, optional(latitude=47.0))
    assert decode(CsvDecoder, body.encode()) == ([(0, first), (1, second)], [], None)


@pytest.mark.parametrize(
    ("row", "field"),
    [
        ("a,2024-05-06T07:08:09Z", ""),
        ("a,2024-05-06T07:08:09Z,1.5,", ""),
        ('"a"b,2024-05-06T07:08:09Z,1.5', ""),
        (",2024-05-06T07:08:09Z,1.5", "sensor"),
        ("a,,1.5", "timestamp"),
        ("a,2024-05-06T07:08:09Z,", "value"),
        ("a,2024-05-06T07:08:09Z,nan", "value"),
        ("\udcff,2024-05-06T07:08:09Z,1.5", ""),
    ],
)
def test_a_bad_row_does_not_end_csv(row: str, field: str) -> None:
    body = f"{HEADER}\n{GOOD_ROW}\n{row}\n{GOOD_ROW}".encode("utf-8", "surrogateescape")
    readings, rejections, error = decode(CsvDecoder, body)
    assert readings == [(0, GOOD), (2, GOOD)]
    assert [(each.index, each.field) for each in rejections] == [(1, field)]
    assert error is None


def test_a_quote_that_is_never_closed_is_one_rejection() -> None:
    readings, rejections, error = decode(CsvDecoder, f'{HEADER}\n{GOOD_ROW}\n"{GOOD_ROW}\n{GOOD_ROW}\n'.encode())
    assert readings == [(0, GOOD)]
    assert [each.index for each in rejections] == [1]
    assert error is None


@pytest.mark.parametrize(
    ("header", "named"),
    [
        ("", "sensor,timestamp,value"),
        ("sensor,timestamp", "'value'"),
        ("sensor,timestamp,value,unit", "'unit'"),
        ("sensor,timestamp,value,sensor", "'sensor' twice"),
        ("Sensor,timestamp,value", "'Sensor'"),
        ('"sensor,timestamp,value', "header row"),
    ],
)
def test_a_wrong_header_is_named(header: str, named: str) -> None:
    error = decode(CsvDecoder, f"{header}\n".encode())[2]
    assert error is not None
    assert named in error


@pytest.mark.parametrize(
    ("form", "before", "endless"),
    [
        (NdjsonDecoder, f"{GOOD_JSON}\n", '{"sensor":"'),
        (CsvDecoder, f"{HEADER}\n{GOOD_ROW}\n", "a,"),
        (CsvDecoder, f"{HEADER}\n{GOOD_ROW}\n", '"\n\n'),
    ],
)
def test_an_endless_record_ends_the_body(form: Format, before: str, endless: str) -> None:
    body = (before + endless).encode() + (b"x" * 999 + b"\n" if "\n" in endless else b"x" * 1000) * 2000
    readings, rejections, error = decode(form, body, range(0, len(body), 100_000))
    assert readings == [(0, GOOD)]
    assert not rejections
    assert error is not None
    assert "longer than 1 MiB" in error


def test_a_clear_limit_on_what_an_array_with_wrong_elements_may_hold() -> None:
    error = decode(JsonArrayDecoder, b"[" + b"1," * 2_000_001 + b"1]")[2]
    assert error is not None
    assert "too long" in error
