"""Request bodies as they come, decompressed, in constant memory."""

from collections.abc import AsyncIterator

from aiohttp import hdrs, web

from service.api.core import CORE
from service.errors import Kind, TidemarkError, invalid
from service.ingest.columns import BodyError
from service.ingest.decode.compression import UnsupportedEncodingError, decompressor


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


async def whole(request: web.Request) -> bytes:
    """The decompressed body of a request that does not stream, at most TIDEMARK_MAX_BODY. Raises TidemarkError."""
    return b"".join([piece async for piece in pieces(request, most=request.app[CORE].settings.max_body)])
