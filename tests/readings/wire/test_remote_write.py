"""Remote write into columns, from bodies that protobuf makes of the specification's messages."""

import math
import struct
from contextlib import suppress
from typing import Any

import cramjam
import pytest
from google.protobuf.message import DecodeError
from google.protobuf.unknown_fields import UnknownFieldSet
from hypothesis import given
from hypothesis import strategies as st
from tidemark.bodies.outcome import BodyError
from tidemark.readings.wire import remote_write
from tidemark.readings.wire.piece import Piece
from tidemark.readings.wire.remote_write import RemoteWrite, RemoteWrite2

from tests.readings.prometheus import Request, Series, WriteRequest, packed, write_request, write_request_2

NOW = 1_700_000_000_000_000
LIMIT = 100_000
STALE = struct.unpack("<d", (0x7FF0000000000002).to_bytes(8, "little"))[0]


def decode(data: bytes, limit: int = LIMIT, kind: type[RemoteWrite | RemoteWrite2] = RemoteWrite) -> list[Piece]:
    decoder = kind(limit, lambda: NOW)
    return [*decoder.feed(data[:7]), *decoder.feed(data[7:]), *decoder.finish()]


def readings(pieces: list[Piece]) -> list[tuple[int, str, int, float]]:
    """Index, series, µs, value."""
    return [
        (index, piece.names[sensor], at, value)
        for piece in pieces
        for index, sensor, at, value in zip(
            piece.index.tolist(), piece.sensor.tolist(), piece.at.tolist(), piece.value.tolist(), strict=True
        )
    ]


def test_the_bytes_of_the_specification() -> None:
    label = b"\x0a\x08__name__\x12\x02up"
    sample = b"\x09" + struct.pack("<d", 1.0) + b"\x10\xe8\x07"
    series = b"\x0a" + bytes([len(label)]) + label + b"\x12" + bytes([len(sample)]) + sample
    request = b"\x0a" + bytes([len(series)]) + series + b"\x1a\x02\x08\x01"  # and metadata
    block = bytes([len(request), (len(request) - 1) << 2]) + request  # one literal
    (piece,) = decode(block)
    assert readings([piece]) == [(0, "up", 1_000_000, 1.0)]
    assert piece.skipped == 1


def test_the_bytes_of_the_second_specification() -> None:
    symbols = b"".join(b"\x22" + bytes([len(text)]) + text for text in (b"", b"__name__", b"up", b"job", b"a"))
    sample = b"\x09" + struct.pack("<d", 1.0) + b"\x10\xe8\x07"
    series = b"\x0a\x04\x01\x02\x03\x04\x12" + bytes([len(sample)]) + sample + b"\x2a\x02\x08\x01\x30\x05"
    part = b"\x2a" + bytes([len(series)]) + series
    for request in (symbols + part, part + symbols):
        (piece,) = decode(bytes(cramjam.snappy.compress_raw(request)), kind=RemoteWrite2)
        assert readings([piece]) == [(0, "up{job=a}", 1_000_000, 1.0)]
        assert piece.skipped == 0, "what is said of a series is no part of it that is left out"


def test_series_samples_and_what_is_skipped() -> None:
    request = write_request([
        ({"job": "a,b", "__name__": "up", "x": "", "instance": "h"}, [(1.0, 1), (STALE, 2), (math.inf, 3), (-0.0, 4)]),
        ({"__name__": "only.stale"}, [(STALE, 5)]),
        ({"instance": "h", "__name__": "up", "job": "a,b"}, [(2.0, 6)]),
    ])  # fmt: skip
    request.timeseries[1].exemplars.append(b"\x0a\x00")
    request.timeseries[2].histograms.extend([b"", b"\x08\x01"])
    request.metadata.append(b"\x08\x01")
    (piece,) = decode(packed(request))
    name = r"up{instance=h,job=a\,b}"
    assert readings([piece]) == [(0, name, 1000, 1.0), (0, name, 4000, 0.0), (2, name, 6000, 2.0)]
    assert math.copysign(1, piece.value[1]) == -1
    assert piece.names == [name]
    assert (piece.skipped, piece.rejected) == (7, 0)


def test_what_is_skipped_of_the_second_version() -> None:
    request = write_request_2([
        ({"__name__": "up", "job": "a", "x": ""}, [(1.0, 1), (STALE, 2), (math.inf, 3)]),
        ({"__name__": "only.stale"}, [(STALE, 5)]),
    ])  # fmt: skip
    request.timeseries[0].exemplars.add(labels_refs=[1, 2], value=1, timestamp=1)
    request.timeseries[1].histograms.extend([b"", b"\x08\x01"])
    (piece,) = decode(packed(request), kind=RemoteWrite2)
    assert readings([piece]) == [(0, "up{job=a}", 1000, 1.0)]
    assert (piece.skipped, piece.rejected) == (3 + 1 + 2, 0)


_one = ({"__name__": "m"}, [(1.0, 1)])


@pytest.mark.parametrize(
    ("request_", "kind", "looks_like"),
    [
        (write_request_2([_one]), RemoteWrite, "a Request of remote write 2.0"),
        (Request(symbols=[""]), RemoteWrite, "a Request of remote write 2.0"),
        (write_request([_one]), RemoteWrite2, "a WriteRequest of remote write 1.0"),
        (WriteRequest(metadata=[b"\x08\x01"]), RemoteWrite2, "a WriteRequest of remote write 1.0"),
    ],
)
def test_one_message_is_not_taken_for_the_other(
    request_: Any, kind: type[RemoteWrite | RemoteWrite2], looks_like: str
) -> None:
    with pytest.raises(BodyError, match=f"looks like {looks_like}, but its Content-Type says"):
        decode(packed(request_), kind=kind)


@pytest.mark.parametrize("symbols", [[], ["__name__", "m"], ["__name__", "m", ""]])
def test_symbols_begin_with_the_empty_string(symbols: list[str]) -> None:
    request = write_request_2([_one])
    request.symbols[:] = symbols
    with pytest.raises(BodyError, match="first of the symbols"):
        decode(packed(request), kind=RemoteWrite2)


@pytest.mark.parametrize("kind", [RemoteWrite, RemoteWrite2])
def test_a_request_of_nothing_is_taken(kind: type[RemoteWrite | RemoteWrite2]) -> None:
    assert decode(packed(WriteRequest()), kind=kind) == []


@pytest.mark.parametrize("refs", [[1], [1, 2, 3], [1, 9], [1, 2**32 - 1], [], [3, 2], [1, 2, 1, 2], [1, 2, 3, 4]])
def test_references_that_name_no_series(refs: list[int]) -> None:
    request = write_request_2([({"__name__": "m"}, [(1.0, 1)])])
    request.symbols[:] = ["", "__name__", "m", "job", "x" * 2_001]
    bad = request.timeseries.add(labels_refs=refs)
    bad.samples.add(value=1, timestamp=1)
    (piece,) = decode(packed(request), kind=RemoteWrite2)
    assert (readings([piece]), piece.rejected) == ([(0, "m", 1000, 1.0)], 1)
    assert (piece.rejections[0].index, piece.rejections[0].field) == (1, "series")


def test_a_symbol_that_is_not_utf_8_spoils_its_series_alone() -> None:
    request = write_request_2([({"__name__": "good"}, [(1.0, 1)]), ({"__name__": "poor"}, [(1.0, 1)])])
    data = request.SerializeToString().replace(b"poor", b"po\xff\xff")
    (piece,) = decode(bytes(cramjam.snappy.compress_raw(data)), kind=RemoteWrite2)
    assert (piece.names, piece.rejected) == (["good"], 1)


def test_references_to_a_long_symbol_are_not_written_out() -> None:
    request = Request(symbols=["", "x" * 200_000])
    series = request.timeseries.add(labels_refs=[1] * 200_000)  # 40 GB
    series.samples.add(value=1, timestamp=1)
    (piece,) = decode(packed(request), limit=2**20, kind=RemoteWrite2)
    assert (len(piece), piece.rejected) == (0, 1)
    assert "at most 2000 bytes" in piece.rejections[0].message


def test_rejections_carry_the_position_of_the_series() -> None:
    day = 86_400_000
    (piece,) = decode(packed(write_request([
        ({"job": "a"}, [(1.0, 1), (2.0, 2)]),
        ({"__name__": "m"}, [(1e151, 1), (1.0, -1), (1.0, NOW // 1000 + day), (1.0, NOW // 1000 + day + 1)]),
        ({"__name__": "m"}, [(1.0, 2**63 - 1), (1.0, -(2**63))]),
        ({"__name__": "m", "": "x"}, [(1.0, 1)]),
        ({"__name__": "m\n"}, [(1.0, 1)]),
    ])))  # fmt: skip
    assert readings([piece]) == [(1, "m", NOW + 86_400_000_000, 1.0)]
    found = [(rejection.index, rejection.field) for rejection in piece.rejections]
    at = "timestamp"
    assert found == [(0, "series"), (1, "value"), (1, at), (1, at), (2, at), (2, at), (3, "series"), (4, "series")]
    assert piece.rejected == 9, "the first series had two samples"


def test_a_label_that_comes_twice_is_refused() -> None:
    request = write_request([({"__name__": "m", "a": "1"}, [(1.0, 1)])])
    request.timeseries[0].labels.add(name="a", value="2")
    (piece,) = decode(packed(request))
    assert (len(piece), piece.rejected) == (0, 1)


def test_long_bodies_come_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote_write, "PIECE", 10)
    series: list[Series] = [({"__name__": f"m{number % 3}"}, [(number, number), (0.5, 7)]) for number in range(25)]
    pieces = decode(packed(write_request(series)))
    assert [len(piece) for piece in pieces] == [10] * 5
    assert readings(pieces) == [
        (index, labels["__name__"], at * 1000, value)
        for index, (labels, samples) in enumerate(series)
        for value, at in samples
    ]


def test_the_length_is_looked_at_before_anything_is_decompressed() -> None:
    with pytest.raises(BodyError, match="at most 1000 bytes"):
        decode(bytes(cramjam.snappy.compress_raw(bytes(1001))), limit=1000)
    with pytest.raises(BodyError, match="at most 1000 bytes"):
        decode(b"\xff\xff\xff\xff\x0f", limit=1000)
    with pytest.raises(BodyError, match="at most 1000 bytes"):
        list(RemoteWrite(1000, lambda: NOW).feed(bytes(2000)))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff" * 20,
        b"\x05\x00",
        bytes(cramjam.snappy.compress(b"framed")),
        bytes(cramjam.snappy.compress_raw(b"no protobuf")),
        bytes(cramjam.snappy.compress_raw(b"\x0a\x80")),
        packed(write_request([({"__name__": "m"}, [(1.0, 1)])]))[:-1],
    ],
    ids=["empty", "no length", "short", "framed", "no protobuf", "no end of a length", "truncated"],
)
def test_malformed_bodies(data: bytes) -> None:
    with pytest.raises(BodyError, match="The body is not"):
        decode(data)


@given(st.binary(max_size=100), st.booleans())
def test_random_bytes_are_refused_and_no_more(data: bytes, packed: bool) -> None:
    with suppress(BodyError):
        decode(bytes(cramjam.snappy.compress_raw(data)) if packed else data)


def test_a_series_that_is_malformed_leaves_the_others() -> None:
    no_text, no_label, no_sample = b"\x0a\x04\x0a\x02\xff\xff", b"\x0a\x02\xff\xff", b"\x12\x01\x09"
    request = b"".join(
        b"\x0a" + bytes([len(series)]) + series for series in (no_text + b"\x12\x00", no_label + b"\x12\x00", no_sample)
    )
    good = write_request([({"__name__": "m"}, [(1.0, 1)])]).SerializeToString()
    (piece,) = decode(bytes(cramjam.snappy.compress_raw(request + good)))
    assert readings([piece]) == [(3, "m", 1000, 1.0)]
    assert [rejection.index for rejection in piece.rejections] == [0, 1, 2]


@pytest.mark.parametrize(
    ("request_", "reason"),
    [
        (b"\x0a\x00" * (remote_write.MAX_PARTS + 1), "at most 100000 time series"),
        (b"\x1a\x00" * (remote_write.MAX_PARTS + 1), "at most 100000 time series"),
        (b"\x22\x00" * (remote_write.MAX_PARTS + 1), "at most 100000 time series"),
        (b"\x0a\x80\x80\x20" + b"\x12\x00" * 2**18, "at most 262144 bytes"),
    ],
    ids=["series", "metadata", "symbols", "samples"],
)
@pytest.mark.parametrize("kind", [RemoteWrite, RemoteWrite2])
def test_requests_that_would_become_large_objects_are_refused(
    request_: bytes, reason: str, kind: type[RemoteWrite | RemoteWrite2]
) -> None:
    with pytest.raises(BodyError, match=reason):
        decode(bytes(cramjam.snappy.compress_raw(request_)), limit=2**20, kind=kind)


_protobuf = st.lists(
    st.sampled_from(
        [b"\x0a", b"\x12", b"\x1a", b"\x22", b"\x2a", b"\x08", b"\x09", b"\x0d", b"\x80", b"\x00", b"\x02", b"a\x01"]
    )
).map(b"".join)


@pytest.mark.parametrize(("kind", "reference"), [(RemoteWrite, WriteRequest), (RemoteWrite2, Request)])
@given(data=_protobuf | st.binary(max_size=30))
def test_what_is_taken_is_what_protobuf_takes(
    kind: type[RemoteWrite | RemoteWrite2], reference: Any, data: bytes
) -> None:
    sent = reference()
    try:
        sent.ParseFromString(data)
    except DecodeError:
        return
    try:
        pieces = decode(bytes(cramjam.snappy.compress_raw(data)), kind=kind)
    except BodyError as error:
        if "looks like" in str(error):
            others = {4, 5} if kind is RemoteWrite else {1, 3}
            assert others & {field.field_number for field in UnknownFieldSet(sent)}
        elif "first of the symbols" in str(error):
            assert list(sent.symbols[:1]) != [""]
        else:
            assert any(byte & 7 in (3, 4) for byte in data), "only groups, which the specification has none of"
        return
    finite = [sample for series in sent.timeseries for sample in series.samples if math.isfinite(sample.value)]
    assert sum(len(piece) + piece.rejected for piece in pieces) == len(finite)


_text = st.text("ab{},=.\\é", min_size=1, max_size=4)
_samples = st.tuples(st.floats(-1e150, 1e150), st.integers(0, NOW // 1000))


@given(
    st.lists(st.tuples(st.dictionaries(_text, _text, max_size=2), _text, st.lists(_samples, min_size=1, max_size=3)))
)
def test_everything_comes_back(series: list[tuple[dict[str, str], str, list[tuple[float, int]]]]) -> None:
    request = write_request([({**labels, "__name__": metric}, samples) for labels, metric, samples in series])
    pieces = decode(packed(request))
    found = readings(pieces)
    of_the_second = write_request_2([({**labels, "__name__": metric}, samples) for labels, metric, samples in series])
    assert readings(decode(packed(of_the_second), kind=RemoteWrite2)) == found
    sent = [(index, at * 1000, value) for index, (_, _, samples) in enumerate(series) for value, at in samples]
    assert [(index, at, value) for index, _, at, value in found] == sent
    names = {index: name for index, name, _, _ in found}
    identities = {index: (metric, frozenset(labels.items())) for index, (labels, metric, _) in enumerate(series)}
    assert len(set(names.values())) == len(set(identities.values())), "one name for each series, not less"
    assert len(set(zip(names.values(), identities.values(), strict=True))) == len(set(names.values()))
