"""Reading files piece by piece: formats by name, Parquet's types, and going on after any record."""

import gzip
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st
from tidemark.bodies.outcome import BodyError
from tidemark.readings.files import source
from tidemark.readings.files.formats import FileFormat, UnknownFormatError, format_of
from tidemark.readings.files.source import pieces, rest
from tidemark.readings.optional_columns import OPTIONAL
from tidemark.readings.wire.ndjson import NdjsonDecoder
from tidemark.readings.wire.piece import Piece

NOW = 1_700_000_000_000_000
GOOD = b'{"sensor":"s%d","timestamp":"2020-01-01T00:00:00Z","value":%d}'


async def read(file: Path, skip: int = 0) -> list[Piece]:
    """The pieces of a file."""
    return [piece async for piece in pieces(file, format_of(file), lambda: NOW, skip=skip, progress=lambda *_: None)]


def content(piece: Piece) -> list[tuple[Any, ...]]:
    """The readings of a piece, without regard to how names are numbered."""
    optional = (
        [None if column is None or column[row] != column[row] else column[row] for row in range(len(piece))]
        for column in (piece.optional.get(column.name) for column in OPTIONAL)
    )
    names = [piece.names[place] for place in piece.sensor]
    return list(zip(piece.index.tolist(), names, piece.at.tolist(), piece.value.tolist(), *optional, strict=True))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a.csv", FileFormat("csv")),
        ("a.b.NDJSON.GZ", FileFormat("ndjson", "gzip")),
        ("a.jsonl.zst", FileFormat("ndjson", "zstd")),
        ("a.parquet", FileFormat("parquet")),
    ],
)
def test_names_tell_formats(name: str, expected: FileFormat) -> None:
    assert format_of(Path(name)) == expected


@pytest.mark.parametrize("name", ["a", "a.gz", "a.txt", "a.parquet.gz", ".csv"])
def test_other_names_tell_none(name: str) -> None:
    with pytest.raises(UnknownFormatError, match=r"\.csv, \.ndjson"):
        format_of(Path(name))


@given(st.lists(st.sampled_from([0, 1, 2, 3]), min_size=1, max_size=40), st.data())
def test_the_rest_of_a_piece_is_what_decoding_the_rest_gives(kinds: list[int], data: st.DataObject) -> None:
    lines = [
        (GOOD % (number % 3, number), GOOD[:-1] % (1, 1) + b',"metadata":[1],"latitude":4}', b"{}", b"no JSON")[kind]
        for number, kind in enumerate(kinds)
    ]

    def decode(some: list[bytes]) -> Piece:
        decoder = NdjsonDecoder(lambda: NOW)
        (piece,) = [*decoder.feed(b"\n".join(some)), *decoder.finish()]
        return piece

    skip = data.draw(st.integers(0, len(lines) - 1))
    left, expected = rest(decode(lines), 0, skip), decode(lines[skip:])
    assert [(row[0] - skip, *row[1:]) for row in content(left)] == content(expected)
    assert left.rejected == expected.rejected
    assert [one.index - skip for one in left.rejections] == [one.index for one in expected.rejections]


@pytest.mark.parametrize("name", ["a.csv", "a.ndjson.gz", "a.csv.zst", "a.parquet"])
async def test_reading_goes_on_after_any_record(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source, "PIECE_RECORDS", 7_000)
    count = 50_000
    file = tmp_path / name
    start = datetime(2020, 1, 1, tzinfo=UTC)
    frame = pl.DataFrame(
        {
            "sensor": [f"s{number % 7}" for number in range(count)],
            "timestamp": [start + timedelta(seconds=number) for number in range(count)],
            "value": [None if number % 1000 == 0 else float(number) for number in range(count)],
        }
    )
    if name.endswith("parquet"):
        frame.write_parquet(file, row_group_size=9_000)
    else:
        texts = frame.with_columns(pl.col("timestamp").dt.to_string("iso:strict"))
        body = (texts.write_csv() if ".csv" in name else texts.write_ndjson()).encode()
        compress: dict[str, Callable[[bytes], bytes]] = {".gz": gzip.compress, ".zst": zstandard.compress}
        file.write_bytes(compress.get(file.suffix, bytes)(body))
    whole = await read(file)
    assert len(whole) > 1
    readings = [row for piece in whole for row in content(piece)]
    assert len(readings) == count - 50
    assert sum(piece.rejected for piece in whole) == 50
    for skip in (1, 9_999, 20_000, 20_001, count - 1, count):
        left = await read(file, skip)
        assert [row for piece in left for row in content(piece)] == [row for row in readings if row[0] >= skip]
        assert sum(piece.rejected for piece in left) == sum(number >= skip for number in range(0, count, 1000))


async def test_parquet_columns_may_have_any_fitting_type(tmp_path: Path) -> None:
    file = tmp_path / "[a]*.parquet"
    moment = datetime(2020, 1, 1, 12)  # noqa: DTZ001 - without a zone it is UTC
    berlin = pl.Series("timestamp", [moment], pl.Datetime("us")).dt.replace_time_zone("Europe/Berlin")
    for timestamp in (
        pl.Series("timestamp", ["2020-01-01T12:00:00Z"]),
        pl.Series("timestamp", [moment], pl.Datetime("ms")),
        pl.Series("timestamp", [moment], pl.Datetime("ns")),
        berlin.dt.convert_time_zone("UTC").dt.offset_by("1h").dt.convert_time_zone("Asia/Tokyo"),
    ):
        for value in (
            pl.Series("value", [3], pl.UInt8),
            pl.Series("value", ["3"]),
            pl.Series("value", [3], pl.Float32),
        ):
            sensor = pl.Series("sensor", ["a"], pl.Categorical)
            absent = [pl.Series("metadata", [None]), pl.Series("latitude", [""])]
            pl.DataFrame([value, sensor, timestamp, *absent]).write_parquet(file)
            (piece,) = await read(file)
            assert content(piece) == [(0, "a", 1_577_880_000_000_000, 3.0, None, None, None, None)]


async def test_what_is_wrong_in_a_parquet_file_is_named(tmp_path: Path) -> None:
    file = tmp_path / "a.parquet"
    good: dict[str, list[Any]] = {
        "sensor": ["a"] * 6,
        "timestamp": ["2020-01-01T00:00:00Z"] * 6,
        "value": [1.0, None, float("nan"), float("inf"), 1.0, 1.0],
        "latitude": [None, None, None, None, 91.0, None],
        "metadata": [None, None, None, None, None, "{"],
    }
    pl.DataFrame(good).write_parquet(file)
    (piece,) = await read(file)
    assert piece.index.tolist() == [0]
    assert [(one.index, one.field) for one in piece.rejections] == [
        *((index, "value") for index in (1, 2, 3)),
        (4, "latitude"),
        (5, "metadata"),
    ]
    for wrong, message in (
        ({**good, "unit": ["K"] * 6}, "no column 'unit'"),
        ({"sensor": ["a"], "value": [1.0]}, "lacks the column 'timestamp'"),
        ({**good, "timestamp": [1] * 6}, "'timestamp' has the type Int64"),
        ({**good, "metadata": [{"a": 1}] * 6}, "'metadata' has the type Struct"),
    ):
        pl.DataFrame(wrong).write_parquet(file)
        with pytest.raises(BodyError, match=message):
            await read(file)
    file.write_bytes(b"PAR1 is not all there is to it PAR1")
    with pytest.raises(BodyError, match="cannot be read"):
        await read(file)
