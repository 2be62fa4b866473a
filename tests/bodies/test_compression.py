"""Compressed bodies: any split, any number of members, nothing but BodyError, and pieces of limited size."""

import gzip
import os
import random
import zlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import pairwise

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st
from tidemark.bodies.compression import PIECE, UnsupportedEncodingError, decompressor
from tidemark.bodies.outcome import BodyError


def raw_deflate(data: bytes) -> bytes:
    deflate = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return deflate.compress(data) + deflate.flush()


def zstd(data: bytes) -> bytes:
    return zstandard.ZstdCompressor().compress(data)


CODINGS: dict[str, tuple[str, Callable[[bytes], bytes]]] = {
    "gzip": ("gzip", gzip.compress),
    "deflate": ("deflate", zlib.compress),
    "raw deflate": ("deflate", raw_deflate),
    "zstd": ("zstd", zstd),
}
codings = pytest.mark.parametrize("coding", CODINGS)


def unpack(encoding: str, body: bytes, cuts: list[int]) -> bytes:
    unpacking = decompressor(encoding)
    whole = b""
    for start, end in pairwise(sorted({0, len(body), *(cut for cut in cuts if cut < len(body))})):
        whole += b"".join(unpacking.feed(body[start:end]))
    unpacking.finish()
    return whole


@codings
@given(st.binary(max_size=300), st.lists(st.integers(0, 300)))
def test_any_split_gives_the_body(coding: str, body: bytes, cuts: list[int]) -> None:
    name, pack = CODINGS[coding]
    assert unpack(name, pack(body), cuts) == body


@pytest.mark.parametrize("coding", ["gzip", "zstd"])
@given(st.lists(st.binary(max_size=50), min_size=1, max_size=4), st.lists(st.integers(0, 200)))
def test_members_follow_each_other(coding: str, bodies: list[bytes], cuts: list[int]) -> None:
    name, pack = CODINGS[coding]
    assert unpack(name, b"".join(map(pack, bodies)), cuts) == b"".join(bodies)


@codings
def test_a_body_that_is_cut_off_anywhere_is_refused(coding: str) -> None:
    name, pack = CODINGS[coding]
    packed = pack(b"a reading and another one" * 3)
    for end in range(len(packed)):
        with pytest.raises(BodyError):
            unpack(name, packed[:end], [])


@pytest.mark.parametrize("name", ["gzip", "deflate", "zstd", "zstd, gzip"])
@given(st.binary(max_size=100), st.lists(st.integers(0, 100)))
def test_random_bytes_raise_nothing_but_body_errors(name: str, body: bytes, cuts: list[int]) -> None:
    with suppress(BodyError):
        unpack(name, body, cuts)


@codings
@given(st.integers(0, 10_000), st.integers(1, 255))
def test_a_changed_byte_raises_nothing_but_body_errors(coding: str, place: int, change: int) -> None:
    name, pack = CODINGS[coding]
    packed = bytearray(pack(b"a reading and another one" * 3))
    packed[place % len(packed)] ^= change
    with suppress(BodyError):
        unpack(name, bytes(packed), [5])


@codings
def test_a_bomb_comes_out_in_small_pieces(coding: str) -> None:
    name, pack = CODINGS[coding]
    packed = pack(bytes(20 * PIECE))
    pieces: Iterator[bytes] = decompressor(name).feed(packed)
    sizes = [len(piece) for piece in pieces]
    assert max(sizes) <= PIECE
    assert sum(sizes) == 20 * PIECE


@codings
def test_a_long_body_of_little_order(coding: str) -> None:
    name, pack = CODINGS[coding]
    body = random.Random(1).randbytes(1_500_000) + b"0" * 1_500_000
    packed = pack(body)
    assert unpack(name, packed, list(range(0, len(packed), 65_536))) == body


def test_two_codings_are_undone_in_reverse() -> None:
    body = os.urandom(100) * 30
    assert unpack("gzip, zstd", zstd(gzip.compress(body)), [7]) == body
    assert unpack("Zstd,X-GZIP", gzip.compress(zstd(body)), [7]) == body


def test_no_coding_leaves_the_body_as_it_is() -> None:
    body = bytes(3 * PIECE + 1)
    for name in ("", "identity", "identity, Identity"):
        pieces = list(decompressor(name).feed(body))
        assert b"".join(pieces) == body
        assert max(map(len, pieces)) <= PIECE


@pytest.mark.parametrize("name", ["br", "gzip, br", "gzip, gzip, gzip", "gzip;q=1"])
def test_other_codings_are_refused(name: str) -> None:
    with pytest.raises(UnsupportedEncodingError):
        decompressor(name)


def test_what_follows_the_data() -> None:
    assert unpack("gzip", gzip.compress(b"a") + bytes(100), [30]) == b"a"
    for name, pack in CODINGS.values():
        with pytest.raises(BodyError):
            unpack(name, pack(b"a") + b"garbage", [])


def test_a_zstd_window_that_would_take_much_memory_is_refused() -> None:
    parameters = zstandard.ZstdCompressionParameters(window_log=27)
    stream = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    packed = stream.compress(random.Random(1).randbytes(1000)) + stream.flush()
    with pytest.raises(BodyError):
        unpack("zstd", packed, [])
