"""Request bodies as they come, decompressed: streaming ones in constant memory, others in what room there is."""

import asyncio
import contextlib
import select
from collections.abc import AsyncIterator
from typing import Any

import orjson
from aiohttp import hdrs, web

from tidemark.base.errors import Kind, TidemarkError, invalid
from tidemark.bodies.compression import UnsupportedEncodingError, decompressor
from tidemark.bodies.outcome import BodyError
from tidemark.http import patience
from tidemark.http.core import CORE

MAX_DOCUMENT = 1024 * 1024
"""Bytes of a JSON document, after decompression, where an endpoint names no other limit."""
MAX_PARTS = 250_000
"""Commas and brackets of a JSON document: it has about as many values. Each takes many times its text in memory once it
is decoded, which nothing interrupts, so the text is looked at before."""

# On Linux the end of what a client sends is an event of its own; to aiohttp it is the end of the connection.
_HUNG_UP = select.POLLERR | select.POLLHUP | getattr(select, "POLLRDHUP", 0)


async def pieces(request: web.Request) -> AsyncIterator[bytes]:
    """The decompressed bytes of a body that is stored as it comes, piece by piece, of any length.

    Raises TidemarkError for an encoding that is not known, and for a body that is corrupt or stops coming;
    ConnectionError where the client has gone.
    """

    async def arriving() -> AsyncIterator[bytes]:
        source = aiter(request.content.iter_any())
        while (data := await _next(request, source, _now() + patience.STREAM_IDLE_SECONDS)) is not None:
            yield data

    async for piece in _decompressed(request, arriving()):
        yield piece


@contextlib.asynccontextmanager
async def held(
    request: web.Request, *, most: int | None = None, compressed: bool = False
) -> AsyncIterator[AsyncIterator[bytes]]:
    """The bytes of a body whose reader keeps them until it is whole, at most `most` (else TIDEMARK_MAX_BODY) of them;
    as they were sent where they stay `compressed`.

    All bodies that are held at a time share the room that there is for them. Besides what `pieces` raises, reading
    raises TidemarkError where there is none left, where the body is too large, or where it has not come in time.
    """
    core = request.app[CORE]
    due = _now() + patience.BODY_SECONDS
    size = 0

    async def arriving() -> AsyncIterator[bytes]:
        source = aiter(request.content.iter_any())
        while (data := await _next(request, source, due)) is not None:
            yield data

    async def kept() -> AsyncIterator[bytes]:
        nonlocal size
        limit = most or core.settings.max_body
        async for data in arriving() if compressed else _decompressed(request, arriving(), most=limit):
            core.room.take(size, len(data))
            size += len(data)
            yield data

    try:
        yield kept()
    finally:
        core.room.give_back(size)


async def document(request: web.Request, *, most: int = MAX_DOCUMENT) -> Any:
    """The JSON of a body of at most `most` bytes (or TIDEMARK_MAX_BODY, if that is less) and `MAX_PARTS` values.

    Raises TidemarkError.
    """
    media_type = request.headers.get(hdrs.CONTENT_TYPE, "application/json").partition(";")[0].strip().lower()
    if media_type != "application/json":
        raise TidemarkError(Kind.UNSUPPORTED_MEDIA_TYPE, "Send the body as application/json.", field=hdrs.CONTENT_TYPE)
    text = await whole(request, most=min(most, request.app[CORE].settings.max_body))
    if sum(map(text.count, (b",", b"[", b"{"))) > MAX_PARTS:
        raise TidemarkError(Kind.TOO_LARGE, f"The body has more than {MAX_PARTS} values.")
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise invalid("body", f"The body is not JSON: {error}.") from None


async def whole(request: web.Request, *, most: int | None = None) -> bytes:
    """The decompressed body of a request that does not stream, at most `most` (else TIDEMARK_MAX_BODY) bytes.

    Raises TidemarkError.
    """
    async with held(request, most=most) as body:
        return b"".join([piece async for piece in body])


async def _decompressed(
    request: web.Request, arriving: AsyncIterator[bytes], *, most: int | None = None
) -> AsyncIterator[bytes]:
    total = 0
    try:
        decompress = decompressor(request.headers.get(hdrs.CONTENT_ENCODING, ""))
        async for data in arriving:
            for number, piece in enumerate(decompress.feed(data)):
                # What has come is taken; what a few bytes of it expand to may be work for minutes.
                if number > 0 and _gone(request):
                    raise _client_has_gone()
                total += len(piece)
                if most is not None and total > most:
                    raise TidemarkError(Kind.TOO_LARGE, f"The body is larger than {most} bytes.")
                yield piece
        decompress.finish()
    except UnsupportedEncodingError as error:
        raise TidemarkError(Kind.UNSUPPORTED_MEDIA_TYPE, str(error), field=hdrs.CONTENT_ENCODING) from None
    except BodyError as error:
        raise invalid("body", str(error)) from None


async def _next(request: web.Request, source: AsyncIterator[bytes], due: float) -> bytes | None:
    """The next bytes, None at the end. Raises TidemarkError where they have not come when they are due, and
    ConnectionError where the client has gone.
    """
    try:
        async with asyncio.timeout_at(due):
            return await anext(source, None)
    except TimeoutError:
        raise patience.too_slow() from None
    except RuntimeError:
        if request.transport is None:  # aiohttp says it so where the client had gone before
            raise _client_has_gone() from None
        raise


def _gone(request: web.Request) -> bool:
    """Whether the client has gone. A transport that is paused, because much of the body waits, does not notice."""
    transport = request.transport
    connection = None if transport is None else transport.get_extra_info("socket")
    if connection is None:
        return True
    poll = select.poll()
    poll.register(connection.fileno(), _HUNG_UP)
    return bool(poll.poll(0))


def _client_has_gone() -> ConnectionError:
    return ConnectionResetError("The client has gone.")


def _now() -> float:
    return asyncio.get_running_loop().time()
