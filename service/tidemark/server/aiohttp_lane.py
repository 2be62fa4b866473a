"""aiohttp's lane: connections that have left the express lane.

They are aiohttp's own, with time limits. What aiohttp refuses before there is a request to route (malformed HTTP, a
head that is too long, an unknown `Expect`) is answered here, in the shape of the surface if the path is known, and
without repeating what was sent, which may contain a secret.
"""

import asyncio
import re
from collections.abc import Awaitable, Callable
from typing import Any, cast

import structlog
from aiohttp import hdrs, web
from aiohttp.http_exceptions import BadHttpMessage, BadHttpMethod, LineTooLong

from tidemark.base.errors import Kind, TidemarkError, internal
from tidemark.http import patience
from tidemark.http.surface import SurfaceMap
from tidemark.server.connections import NEVER, Connections, say_goodbye

log = structlog.get_logger(__name__)

MAX_LINE = 64 * 1024
"""Largest request line, in bytes: room for some thousand sensor ids in a query."""

_KEPT = 2048
"""Bytes of the beginning of a head that are kept, to find its path should it be refused."""
_PATH = re.compile(rb"\s*\S+ +(?:[A-Za-z]+://[^/?# ]*)?(/[^?# \r\n]*)")
# Messages of aiohttp that say what is wrong without repeating what was sent.
_HARMLESS = re.compile(
    r"Missing 'Host' header in request\.|Duplicate '[A-Za-z-]+' header found\.|Too many headers received"
)
_TLS = b"\x16\x03"

Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


class AiohttpLane:
    """What the lane's connections share. `server` is aiohttp's, and must not have any connections yet."""

    def __init__(self, server: web.Server, surfaces: SurfaceMap, connections: Connections) -> None:
        self.server = server
        self.surfaces = surfaces
        self.connections = connections
        server.request_handler = _handler(server.request_handler, surfaces)

    def __call__(self) -> "AiohttpConnection":
        """The protocol of a connection that enters the lane."""
        return AiohttpConnection(self)


class AiohttpConnection(web.RequestHandler):
    """One client's connection."""

    __slots__ = ("_begun", "_connections", "_last", "_refused", "_request", "_surfaces", "_unsent", "_wire", "due")

    def __init__(self, lane: AiohttpLane) -> None:
        super().__init__(
            lane.server,
            loop=asyncio.get_running_loop(),
            access_log=None,  # type: ignore[arg-type] # as aiohttp's own runner passes it
            max_line_size=MAX_LINE,
            auto_decompress=False,  # bodies are decompressed in constant memory, see tidemark.http.body
            keepalive_timeout=patience.IDLE_SECONDS + patience.HEAD_SECONDS,  # `due` comes first
        )
        self._parser: Any = _Parser(self._parser, self)
        self._surfaces = lane.surfaces
        self._connections = lane.connections
        self._wire: asyncio.Transport | None = None
        self._request: web.BaseRequest | None = None
        # The beginning of the head that is being received.
        self._begun = b""
        self._refused = False
        # Whether the connection ends with the next answer.
        self._last = False
        self._unsent = 0
        self.due = NEVER

    def take_over(self, transport: asyncio.Transport, received: bytes, due: float) -> None:
        """Take over a connection and what it has received; the deadline of its next head stays."""
        transport.set_protocol(self)
        self.connection_made(transport)
        self.data_received(received)
        self.due = due

    def begin(self, request: web.BaseRequest) -> None:
        """A request is being handled; whoever reads its body limits the time for that."""
        self._request = request
        self.due = NEVER

    def handled(self) -> None:
        """The request has been handled; the rest of its answer is being sent."""
        self._request, self._begun = None, b""
        self.due = self._loop.time() + patience.IDLE_SECONDS

    def late(self) -> None:
        """The client is late: end the connection, unless some of the answer has been read since."""
        assert self._wire is not None  # a connection is not late before it is made
        unsent = self._wire.get_write_buffer_size()
        if self.writing_paused and unsent < self._unsent:
            self._unsent = unsent
            self.due = self._loop.time() + patience.STALLED_SECONDS
        else:
            self._wire.abort()  # closing would wait for the client to read

    def refusal(self, error: Exception, data: bytes) -> "RefusedError":
        """The error to answer with in place of one of aiohttp's parser. Nothing more is read from the connection."""
        self._refused = True
        if self._request is not None and not self._request.content.is_eof():
            # It was in the body of a request, and nothing else tells the handler that reads it.
            self._request.content.set_exception(web.RequestPayloadError())
            self._request.content.feed_eof()
            self._last = True
        head = self._begun if self._request is None else data
        found = _PATH.match(head)
        return RefusedError(found[1].decode("latin-1") if found else "/", _reason(error, head))

    # Called by asyncio and aiohttp

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The connection has entered the lane."""
        # uvloop's transports have the interface, not the base class.
        self._wire = cast("asyncio.Transport", transport)
        super().connection_made(transport)

    def connection_lost(self, exc: BaseException | None) -> None:
        """The client has disconnected."""
        self._connections.remove(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Bytes have arrived."""
        if self._refused:
            return
        if data and self._request is None:
            if not self._begun:
                self.due = self._loop.time() + patience.HEAD_SECONDS
            if len(self._begun) < _KEPT:
                self._begun += data[:_KEPT]
        super().data_received(data)

    def pause_writing(self) -> None:
        """The client is not reading its answer."""
        super().pause_writing()
        if self._wire is not None:
            self._unsent = self._wire.get_write_buffer_size()
        self.due = self._loop.time() + patience.STALLED_SECONDS

    def resume_writing(self) -> None:
        """The client reads again."""
        super().resume_writing()
        self.due = NEVER if self._request is not None else self._loop.time() + patience.IDLE_SECONDS

    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        """Send an answer. From a client that was too slow, or sent malformed HTTP, nothing more is read."""
        finished = await super().finish_response(request, resp, start_time)
        if (self._last or resp.status == Kind.TOO_SLOW.status) and self._wire is not None:
            self.close()
            say_goodbye(self._wire)
            self.due = self._loop.time() + patience.GOODBYE_SECONDS
        return finished

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """The answer to a malformed request, or to one whose handler failed. Raises ConnectionError if none can be
        sent.
        """
        if isinstance(exc, ConnectionError) or request.writer.output_size > 0:
            raise ConnectionError("The client has disconnected, or has received a part of another answer.")
        if isinstance(exc, RefusedError):
            log.debug("request refused", reason=exc.message)
            answer = self._surfaces.at(exc.path).response(TidemarkError(Kind.INVALID_REQUEST, exc.message))
        else:
            log.error("request failed", path=request.path, exc_info=exc)
            answer = self._surfaces.at(request.path).response(internal())
        answer.force_close()
        return answer


class RefusedError(BadHttpMessage):
    """Malformed HTTP, which the message does not repeat; `path` is `/` if none was found."""

    def __init__(self, path: str, message: str) -> None:
        super().__init__(message)
        self.path = path


class _Parser:
    """aiohttp's parser, without its errors, which repeat what was sent."""

    def __init__(self, parser: Any, connection: AiohttpConnection) -> None:
        self._parser = parser
        self._connection = connection

    def feed_data(self, data: bytes) -> Any:
        """Parse the next bytes. Raises RefusedError."""
        try:
            return self._parser.feed_data(data)
        except Exception as error:  # whatever it is, the client gets an answer
            raise self._connection.refusal(error, data) from None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._parser, name)


def _handler(inner: Handler, surfaces: SurfaceMap) -> Handler:
    """aiohttp's request handler, which also tells the connection of requests, and answers an unknown `Expect`."""

    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        connection = cast("AiohttpConnection", request.protocol)
        connection.begin(request)
        try:
            return await inner(request)
        except web.HTTPExpectationFailed:
            return surfaces.at(request.path).response(
                TidemarkError(
                    Kind.EXPECTATION_FAILED, "The only supported expectation is 100-continue.", field=hdrs.EXPECT
                )
            )
        finally:
            connection.handled()

    return handle


def _reason(error: Exception, begun: bytes) -> str:
    if isinstance(error, LineTooLong):
        return "The request line or a header is too long."
    if begun.startswith(_TLS):
        return "This is TLS, but plain HTTP is spoken here."
    if isinstance(error, BadHttpMethod):
        return "The request does not begin with an HTTP method."
    message = getattr(error, "message", "")
    if _HARMLESS.fullmatch(message):
        return f"{message.rstrip('.')}."
    return "This is not a valid HTTP/1.1 request: its request line, its headers or its body are malformed."
