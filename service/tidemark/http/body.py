"""Request bodies, decompressed as they arrive: streamed ones in constant memory, others in the room that is left."""

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
"""Largest JSON document, in bytes after decompression, unless an endpoint sets another limit."""
MAX_PARTS = 250_000
"""Largest number of commas and opening brackets in a JSON document, which has about as many values. A decoded value
takes many times as much memory as its text, and nothing interrupts decoding, so they are counted first."""

# On Linux, a client that stops sending causes an event of its own; aiohttp treats it as the end of the connection.
_HUNG_UP = select.POLLERR | select.POLLHUP | getattr(select, "POLLRDHUP", 0)


async def pieces(request: web.Request) -> AsyncIterator[bytes]:
    """The decompressed bytes of a body that is stored as it arrives, piece by piece, of any length.

    Raises TidemarkError for an unknown encoding, and for a body that is corrupt or stalls; ConnectionError if the
    client has disconnected.
    """

    async def arriving() -> AsyncIterator[bytes]:
        source = aiter(request.content.iter_any())
        while (data := await _next(request, source, _now() + patience.STREAM_IDLE_SECONDS)) is not None:
            yield data

    async for piece in _decompressed(request, arriving()):
        yield piece


@contextlib.asynccontextmanager
async def held(
    request: web.Request, *, max_bytes: int | None = None, compressed: bool = False
) -> AsyncIterator[AsyncIterator[bytes]]:
    """The bytes of a body that its reader keeps in memory until it is complete: at most `max_bytes`, by default
    TIDEMARK_MAX_BODY. With `compressed`, they are yielded as they were sent.

    All bodies held at the same time share one amount of room. Besides what `pieces` raises, reading raises
    TidemarkError if no room is left, if the body is too large, or if it does not arrive in time.
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
        limit = max_bytes or core.settings.max_body
        async for data in arriving() if compressed else _decompressed(request, arriving(), max_bytes=limit):
            core.room.take(size, len(data))
            size += len(data)
            yield data

    try:
        yield kept()
    finally:
        core.room.give_back(size)


async def document(request: web.Request, *, max_bytes: int = MAX_DOCUMENT) -> Any:
    """The JSON of a body of at most `max_bytes` (or TIDEMARK_MAX_BODY, if that is less) and `MAX_PARTS` values.

    Raises TidemarkError.
    """
    media_type = request.headers.get(hdrs.CONTENT_TYPE, "application/json").partition(";")[0].strip().lower()
    if media_type != "application/json":
        raise TidemarkError(Kind.UNSUPPORTED_MEDIA_TYPE, "Send the body as application/json.", field=hdrs.CONTENT_TYPE)
    text = await whole(request, max_bytes=min(max_bytes, request.app[CORE].settings.max_body))
    if sum(map(text.count, (b",", b"[", b"{"))) > MAX_PARTS:
        raise TidemarkError(Kind.TOO_LARGE, f"The body has more than {MAX_PARTS} values.")
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise invalid("body", f"The body is not JSON: {error}.") from None


async def whole(request: web.Request, *, max_bytes: int | None = None) -> bytes:
    """The decompressed body of a request that does not stream: at most `max_bytes`, by default TIDEMARK_MAX_BODY.

    Raises TidemarkError.
    """
    async with held(request, max_bytes=max_bytes) as body:
        return b"".join([piece async for piece in body])


async def _decompressed(
    request: web.Request, arriving: AsyncIterator[bytes], *, max_bytes: int | None = None
) -> AsyncIterator[bytes]:
    total = 0
    try:
        decompress = decompressor(request.headers.get(hdrs.CONTENT_ENCODING, ""))
        async for data in arriving:
            for number, piece in enumerate(decompress.feed(data)):
                # Whatever has arrived is processed; but a few bytes may expand to minutes of work.
                if number > 0 and _gone(request):
                    raise _client_has_gone()
                total += len(piece)
                if max_bytes is not None and total > max_bytes:
                    raise TidemarkError(Kind.TOO_LARGE, f"The body is larger than {max_bytes} bytes.")
                yield piece
        decompress.finish()
    except UnsupportedEncodingError as error:
        raise TidemarkError(Kind.UNSUPPORTED_MEDIA_TYPE, str(error), field=hdrs.CONTENT_ENCODING) from None
    except BodyError as error:
        raise invalid("body", str(error)) from None


async def _next(request: web.Request, source: AsyncIterator[bytes], due: float) -> bytes | None:
    """The next bytes, None at the end. Raises TidemarkError if they do not arrive before they are due, and
    ConnectionError if the client has disconnected.
    """
    try:
        async with asyncio.timeout_at(due):
            return await anext(source, None)
    except TimeoutError:
        raise patience.too_slow() from None
    except RuntimeError:
        if request.transport is None:  # aiohttp's way of saying that the client had already disconnected
            raise _client_has_gone() from None
        raise


def _gone(request: web.Request) -> bool:
    """Whether the client has disconnected. A transport does not notice while it is paused because much of the body is
    unread.
    """
    transport = request.transport
    connection = None if transport is None else transport.get_extra_info("socket")
    if connection is None:
        return True
    poll = select.poll()
    poll.register(connection.fileno(), _HUNG_UP)
    return bool(poll.poll(0))


def _client_has_gone() -> ConnectionError:
    return ConnectionResetError("The client has disconnected.")


def _now() -> float:
    return asyncio.get_running_loop().time()
