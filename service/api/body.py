"""Request bodies as they come, decompressed: streaming ones in constant memory, others in what room there is."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import orjson
from aiohttp import hdrs, web

from service.api.core import CORE
from service.errors import Kind, TidemarkError, invalid
from service.ingest.columns import BodyError
from service.ingest.decode.compression import UnsupportedEncodingError, decompressor

IDLE_SECONDS = 60
"""How long a body that is held may stop coming."""


async def pieces(request: web.Request, *, most: int | None = None) -> AsyncIterator[bytes]:
    """The decompressed bytes of a body, piece by piece.

    Raises TidemarkError for an encoding that is not known, a body that is corrupt, or one larger than `most` bytes.
    """
    total = 0
    try:
        decompress = decompressor(request.headers.get(hdrs.CONTENT_ENCODING, ""))
        async for data in request.content.iter_any():
            for piece in decompress.feed(data):
                total += len(piece)
                if most is not None and total > most:
                    raise TidemarkError(Kind.TOO_LARGE, f"The body is larger than {most} bytes.")
                yield piece
        decompress.finish()
    except UnsupportedEncodingError as error:
        raise TidemarkError(Kind.UNSUPPORTED_MEDIA_TYPE, str(error), field=hdrs.CONTENT_ENCODING) from None
    except BodyError as error:
        raise invalid("body", str(error)) from None


@contextlib.asynccontextmanager
async def held(
    request: web.Request, *, most: int | None = None, compressed: bool = False
) -> AsyncIterator[AsyncIterator[bytes]]:
    """The bytes of a body whose reader keeps them until it is whole, at most `most` (else TIDEMARK_MAX_BODY) of them;
    as they were sent where they stay `compressed`.

    All bodies that are held at a time share the room that there is for them. Besides what `pieces` raises, reading
    raises TidemarkError where there is none left, or where the body stops coming.
    """
    core = request.app[CORE]
    source = (
        request.content.iter_any() if compressed else pieces(request, most=most or core.settings.max_body)
    ).__aiter__()
    size = 0

    async def arriving() -> AsyncIterator[bytes]:
        nonlocal size
        while True:
            try:
                async with asyncio.timeout(IDLE_SECONDS):
                    data = await anext(source, None)
            except TimeoutError:
                raise invalid("body", f"The rest of the body has not come within {IDLE_SECONDS} seconds.") from None
            if data is None:
                return
            core.room.take(size, len(data))
            size += len(data)
            yield data

    try:
        yield arriving()
    finally:
        core.room.give_back(size)


async def document(request: web.Request) -> Any:
    """The JSON of a body. Raises TidemarkError."""
    media_type = request.headers.get(hdrs.CONTENT_TYPE, "application/json").partition(";")[0].strip().lower()
    if media_type != "application/json":
        raise TidemarkError(Kind.UNSUPPORTED_MEDIA_TYPE, "Send the body as application/json.", field=hdrs.CONTENT_TYPE)
    try:
        return orjson.loads(await whole(request))
    except orjson.JSONDecodeError as error:
        raise invalid("body", f"The body is not JSON: {error}.") from None


async def whole(request: web.Request, *, most: int | None = None) -> bytes:
    """The decompressed body of a request that does not stream, at most `most` (else TIDEMARK_MAX_BODY) bytes.

    Raises TidemarkError.
    """
    async with held(request, most=most) as body:
        return b"".join([piece async for piece in body])
