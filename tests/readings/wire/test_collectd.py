"""collectd's value lists into columns."""

import json
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tidemark.bodies.outcome import BodyError
from tidemark.readings.wire import collectd
from tidemark.readings.wire.collectd import CollectdDecoder
from tidemark.readings.wire.piece import Piece

NOW = 1_700_000_000_000_000
# As collectd 5.12 has sent it, but for the time.
OCTETS: Mapping[str, Any] = {
    "values": [19726.4927466904, 0],
    "dstypes": ["derive", "derive"],
    "dsnames": ["rx", "tx"],
    "time": 1600000000.218,
    "interval": 0.5,
    "host": "host.example",
    "plugin": "interface",
    "plugin_instance": "lo",
    "type": "if_octets",
    "type_instance": "",
}


def decode(*parts: bytes) -> list[Piece]:
    decoder = CollectdDecoder(lambda: NOW)
    return [*(piece for part in parts for piece in decoder.feed(part)), *decoder.flush(), *decoder.finish()]


def decode_lists(*lists: Any) -> Piece:
    body = json.dumps(lists).encode()
    (piece,) = decode(body[:9], body[9:])
    return piece


def readings(piece: Piece) -> list[tuple[int, str, int, float]]:
    names = [piece.names[sensor] for sensor in piece.sensor.tolist()]
    return list(zip(piece.index.tolist(), names, piece.at.tolist(), piece.value.tolist(), strict=True))


def test_a_value_is_a_reading_of_its_data_source() -> None:
    load = {"plugin": "load", "plugin_instance": "", "type": "load", "dsnames": ["shortterm"], "values": [0.25]}
    bare = {"host": "h", "plugin": "p.q", "type": "t", "dsnames": ["v"], "values": [-1], "time": 7}
    labels = "{host=host.example,plugin_instance=lo,type=if_octets}"
    assert readings(decode_lists(OCTETS, {**OCTETS, **load}, bare)) == [
        (0, f"interface.rx{labels}", 1_600_000_000_218_000, 19726.4927466904),
        (0, f"interface.tx{labels}", 1_600_000_000_218_000, 0.0),
        (1, "load.shortterm{host=host.example,type=load}", 1_600_000_000_218_000, 0.25),
        (2, "p.q.v{host=h,type=t}", 7_000_000, -1.0),
    ]


def test_a_value_that_collectd_does_not_know_is_skipped() -> None:
    piece = decode_lists({**OCTETS, "values": [None, 2]}, {**OCTETS, "values": [None, None]})
    assert (len(piece), piece.skipped, piece.rejected) == (1, 3, 0)


@pytest.mark.parametrize(
    ("change", "field", "count"),
    [
        ({"host": None}, "host", 1),
        ({"time": "2020-01-01"}, "time", 1),
        ({"time": -1}, "time", 1),
        ({"time": 1e30}, "time", 1),
        ({"values": [1]}, "dsnames", 1),
        ({"values": ["1", "2"]}, "values[0]", 1),
        ({"values": [1e151, 1]}, "values", 1),
        ({"plugin": ""}, "series", 2),
        ({"plugin": "a\nb"}, "series", 2),
        ({"host": "x" * 3000}, "series", 2),
    ],
)
def test_what_cannot_be_stored_is_refused_and_the_others_taken(change: Any, field: str, count: int) -> None:
    piece = decode_lists({**OCTETS, **change}, OCTETS, 7)
    assert [one for one in piece.index.tolist() if one == 1] == [1, 1]
    assert [(one.index, one.field) for one in piece.rejections] == [*[(0, field)] * count, (2, "")]
    assert piece.rejected == count + 1


def test_long_bodies_come_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(collectd, "PIECE", 4)
    pieces = decode(json.dumps([OCTETS] * 5).encode())
    assert [len(piece) for piece in pieces] == [4, 4, 2]


@pytest.mark.parametrize(
    "body", [b"", b"{}", b"7", b"[", b"\xff", b"PUTVAL a/b/c interval=1 1:2", b"[" + b"7," * 2_000_001 + b"7]"]
)
def test_what_is_no_array_is_refused(body: bytes) -> None:
    with pytest.raises(BodyError):
        decode(body)


@given(st.recursive(st.none() | st.text() | st.floats() | st.integers(), lambda inner: st.lists(inner)), st.data())
def test_whatever_stands_in_a_field_is_refused_and_no_more(value: Any, data: st.DataObject) -> None:
    field = data.draw(st.sampled_from(sorted(OCTETS)))
    with suppress(BodyError):
        decode(json.dumps([{**OCTETS, field: value}]).encode())
