"""Responses that are sent piece by piece, in constant memory. An incomplete one never looks complete."""

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
    """Send pieces as they come; to a HEAD request, only the headers.

    What fails before the first piece is raised. After a later failure, and if the client does not read or reads too
    slowly, the connection is reset, so that no client, and no proxy that speaks HTTP/1.0 to this service, takes the
    part that arrived for the whole.
    """
    response = web.StreamResponse(headers=headers)
    async with aclosing(pieces):
        first = await anext(pieces, b"")
        try:
            await _sent(response.prepare(request))
            if request.method != hdrs.METH_HEAD:
                pace = Pace()
                await _write(response, first, pace)
                async for piece in pieces:
                    await _write(response, piece, pace)
            await _sent(response.write_eof())
        except _ClientGoneError as gone:
            log.debug("client abandoned its response", path=request.path, reason=str(gone))
            _reset(request)
        except Exception:
            log.exception("response failed midway", path=request.path)
            _reset(request)
        except BaseException:
            _reset(request)
            raise
    return response


class _ClientGoneError(Exception):
    """The client has disconnected or does not read. A class of its own, since a database may do the same."""


class Pace:
    """How fast a client reads a response, averaged over every `patience.PACE_SECONDS` of waiting for it."""

    def __init__(self) -> None:
        self._read = 0
        self._waited = 0.0

    def is_too_slow(self, read: int, waited: float) -> bool:
        """Add the bytes that were read, and the seconds spent waiting for that. Returns whether the average has fallen
        below `patience.STREAM_PACE`.
        """
        self._read += read
        self._waited += waited
        if self._waited < patience.PACE_SECONDS:
            return False
        slow = self._read < patience.STREAM_PACE * self._waited
        self._read, self._waited = 0, 0.0
        return slow


async def _write(response: web.StreamResponse, piece: bytes, pace: Pace) -> None:
    now = asyncio.get_running_loop().time
    for start in range(0, len(piece), WRITE_BYTES):
        part = piece[start : start + WRITE_BYTES]
        begun = now()
        await _sent(response.write(part))
        if pace.is_too_slow(len(part), now() - begun):
            raise _ClientGoneError("it reads too slowly")


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
