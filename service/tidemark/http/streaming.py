"""Answers that are sent piece by piece, in constant memory, and never taken for whole where they are not."""

import asyncio
import socket
import struct
from collections.abc import AsyncGenerator, Awaitable, Mapping
from contextlib import aclosing

import structlog
from aiohttp import hdrs, web

from tidemark.http import patience

log = structlog.get_logger(__name__)

WRITE_BYTES = 64 * 1024

_RESET = struct.pack("ii", 1, 0)  # struct linger: on, no seconds


async def stream(
    request: web.Request, headers: Mapping[str, str], pieces: AsyncGenerator[bytes, None]
) -> web.StreamResponse:
    """Answer with pieces as they come; for HEAD with the headers alone.

    What fails before the first piece is raised. What fails later, or a client that does not read, has the connection
    reset: no client, and no proxy that speaks HTTP/1.0 with this service, takes what came for the whole.
    """
    response = web.StreamResponse(headers=headers)
    async with aclosing(pieces):
        first = await anext(pieces, b"")
        try:
            await _sent(response.prepare(request))
            if request.method != hdrs.METH_HEAD:
                await _write(response, first)
                async for piece in pieces:
                    await _write(response, piece)
            await _sent(response.write_eof())
        except _ClientGoneError as gone:
            log.debug("a client has left its answer", path=request.path, reason=str(gone))
            _reset(request)
        except Exception:
            log.exception("an answer broke off", path=request.path)
            _reset(request)
        except BaseException:
            _reset(request)
            raise
    return response


class _ClientGoneError(Exception):
    """The client has gone or does not read; told apart from a database that does the same."""


async def _write(response: web.StreamResponse, piece: bytes) -> None:
    for start in range(0, len(piece), WRITE_BYTES):
        await _sent(response.write(piece[start : start + WRITE_BYTES]))


async def _sent(sending: Awaitable[object]) -> None:
    try:
        async with asyncio.timeout(patience.STALLED_SECONDS):
            await sending
    except (ConnectionError, TimeoutError) as error:
        raise _ClientGoneError(str(error) or "it does not read") from None


def _reset(request: web.Request) -> None:
    if request.transport is not None:
        request.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        request.transport.abort()
