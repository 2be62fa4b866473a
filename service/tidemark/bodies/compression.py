"""Decompression of request bodies as they arrive, in constant memory, however far they expand."""

import zlib
from collections.abc import Iterator
from typing import Protocol

import zstandard

from tidemark.bodies.outcome import BodyError

PIECE = 1024 * 1024
"""Largest number of bytes that is yielded at once."""
_MAX_CODINGS = 2
_TWICE_RATIO = 4
_TWICE_SLACK = 64 * 1024
"""Compressed data can hardly be compressed again; a body that can is built to cause endless work."""
_GZIP_SLICE = 16 * 1024
_ZSTD_WINDOW = 8 * 1024 * 1024
"""Largest window that a `Content-Encoding: zstd` body may use, in bytes (RFC 9659)."""
_ZSTD_SLICE = 128
"""A zstd block has at least 4 bytes and expands to at most 128 KiB (RFC 8878), so a slice expands to at most 4 MiB."""


class UnsupportedEncodingError(ValueError):
    """A `Content-Encoding` that is not supported; the message names those that are."""


class Decompressor(Protocol):
    """Decompresses a body as it arrives. Nothing is decompressed before its pieces are consumed."""

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Decompress the next bytes into pieces of at most `PIECE` bytes. Raises BodyError if the data are corrupt."""

    def finish(self) -> None:
        """End the body. Raises BodyError if it is truncated."""


def decompressor(content_encoding: str) -> Decompressor:
    """The decompressor for a `Content-Encoding` header: one coding, or two in the order in which they were applied.

    `gzip` (with any number of members), `deflate` (with the zlib header or, as some senders have it, without), `zstd`
    (with any number of frames) and `identity`, which an empty header means too. Raises UnsupportedEncodingError.
    """
    names = [name for name in (part.strip().lower() for part in content_encoding.split(",")) if name]
    if len(names) > _MAX_CODINGS:
        raise UnsupportedEncodingError(f"A body may be compressed at most {_MAX_CODINGS} times, not {len(names)}.")
    codings = [_coding(name) for name in names if name != "identity"]
    match codings:
        case []:
            return _Identity()
        case [once]:
            return once
        case _:
            return _Twice(*codings)


def _coding(name: str) -> Decompressor:
    match name:
        case "gzip" | "x-gzip":
            return _Gzip()
        case "deflate":
            return _Deflate()
        case "zstd":
            return _Zstd()
        case _:
            raise UnsupportedEncodingError(
                f"The encoding {name[:50]!r} is not supported; use gzip, deflate, zstd or identity."
            )


class _Identity:
    def feed(self, data: bytes) -> Iterator[bytes]:
        for start in range(0, len(data), PIECE):
            yield data[start : start + PIECE]

    def finish(self) -> None:
        pass


class _Twice:
    """Two decompressors, the outer one feeding the inner."""

    def __init__(self, inner: Decompressor, outer: Decompressor) -> None:
        self._outer = outer
        self._inner = inner
        self._between = _TWICE_SLACK
        """Bytes that may still pass between the two."""

    def feed(self, data: bytes) -> Iterator[bytes]:
        self._between += _TWICE_RATIO * len(data)
        for piece in self._outer.feed(data):
            self._between -= len(piece)
            if self._between < 0:
                raise BodyError(
                    "The body is compressed twice, and the second time far more than compressed data can be."
                )
            yield from self._inner.feed(piece)

    def finish(self) -> None:
        self._outer.finish()
        self._inner.finish()


class _Gzip:
    """Consecutive members (RFC 1952)."""

    def __init__(self) -> None:
        self._member = zlib.decompressobj(zlib.MAX_WBITS + 16)
        self._members = 0
        self._begun = False

    def feed(self, data: bytes) -> Iterator[bytes]:
        # In slices: the end of each member copies the rest of the data, and members may be tiny.
        for start in range(0, len(data), _GZIP_SLICE):
            yield from self._feed_slice(data[start : start + _GZIP_SLICE])

    def _feed_slice(self, data: bytes) -> Iterator[bytes]:
        while data:
            if not self._begun:
                # Some programs pad the last member with zeros.
                data = data.lstrip(b"\0") if self._members else data
                self._begun = bool(data)
            yield from _inflate(self._member, data, "gzip")
            data = self._member.unused_data
            if self._member.eof:
                self._member = zlib.decompressobj(zlib.MAX_WBITS + 16)
                self._members += 1
                self._begun = False

    def finish(self) -> None:
        if self._begun or not self._members:
            raise _cut_off("gzip")


class _Deflate:
    """The zlib format (RFC 1950), or raw deflate data (RFC 1951)."""

    def __init__(self) -> None:
        self._head = b""
        self._stream = zlib.decompressobj()
        self._begun = False

    def feed(self, data: bytes) -> Iterator[bytes]:
        if not self._begun:
            data = self._head = self._head + data
            if len(data) < 2:
                return
            is_zlib = data[0] & 15 == zlib.DEFLATED and int.from_bytes(data[:2], "big") % 31 == 0
            self._stream = zlib.decompressobj(zlib.MAX_WBITS if is_zlib else -zlib.MAX_WBITS)
            self._begun = True
        if data and self._stream.eof:
            raise BodyError("The body continues after the end of its deflate data.")
        yield from _inflate(self._stream, data, "deflate")
        if self._stream.unused_data:
            raise BodyError("The body continues after the end of its deflate data.")

    def finish(self) -> None:
        if not self._stream.eof:
            raise _cut_off("deflate")


class _Zstd:
    """Consecutive frames (RFC 8878)."""

    def __init__(self) -> None:
        self._decompressor = zstandard.ZstdDecompressor(max_window_size=_ZSTD_WINDOW)
        self._frame = self._decompressor.decompressobj()
        self._frames = 0
        self._begun = False

    def feed(self, data: bytes) -> Iterator[bytes]:
        for start in range(0, len(data), _ZSTD_SLICE):
            part = data[start : start + _ZSTD_SLICE]
            while part:
                self._begun = True
                try:
                    whole = self._frame.decompress(part)
                except zstandard.ZstdError as error:
                    raise BodyError(f"The body is not zstd data: {error}.") from None
                for at in range(0, len(whole), PIECE):
                    yield whole[at : at + PIECE]
                part = b""
                if self._frame.eof:
                    part = self._frame.unused_data
                    self._frame = self._decompressor.decompressobj()
                    self._frames += 1
                    self._begun = False

    def finish(self) -> None:
        if self._begun or not self._frames:
            raise _cut_off("zstd")


def _inflate(stream: "zlib._Decompress", data: bytes, name: str) -> Iterator[bytes]:
    while not stream.eof:
        try:
            piece = stream.decompress(data, PIECE)
        except zlib.error as error:
            raise BodyError(f"The body is not {name} data: {error}.") from None
        if piece:
            yield piece
        data = stream.unconsumed_tail
        # After a full piece there may be more output to come, even if all input is consumed.
        if not data and len(piece) < PIECE:
            return


def _cut_off(name: str) -> BodyError:
    return BodyError(f"The body ends in the middle of its {name} data.")
