"""aiohttp's lane: connections that have left the express lane.

They are aiohttp's own, bounded in time. What aiohttp refuses before there is a request to route (what is not HTTP,
heads that are too long, an `Expect` that nobody knows) is answered here, in the shape of the surface where the path is
known, and without what was sent: a secret may stand in it.
"""

import asyncio
import re
from collections.abc import Awaitable, Callable
from typing import Any, cast

import structlog
from aiohttp import hdrs, web
from aiohttp.http_exceptions import BadHttpMessage, BadHttpMethod, LineTooLong

from tidemark.base.errors import Kind, TidemarkError
from tidemark.http import patience
from tidemark.http.errors import response
from tidemark.server.connections import NEVER, Connections, say_goodbye

log = structlog.get_logger(__name__)

MAX_LINE = 64 * 1024
"""Bytes of a request line: some thousand sensor ids in a query."""

_KEPT = 2048
"""Bytes of the beginning of a head that are kept, to know its path if it is refused."""
_PATH = re.compile(rb"\s*\S+ +(?:[A-Za-z]+://[^/?# ]*)?(/[^?# \r\n]*)")
# Sentences of aiohttp that tell what is wrong and repeat nothing that was sent.
_TELLING = re.compile(
    r"Missing 'Host' header in request\.|Duplicate '[A-Za-z-]+' header found\.|Too many headers received"
)
_TLS = b"\x16\x03"

Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


class AiohttpLane:
    """What the connections of the lane share. `server` is aiohttp's; to be made before it has any connection."""

    def __init__(self, server: web.Server, connections: Connections) -> None:
        self.server = server
        self.connections = connections
        server.request_handler = _handler(server.request_handler)

    def __call__(self) -> "AiohttpConnection":
        """The protocol of a connection that comes into the lane."""
        return AiohttpConnection(self)


class AiohttpConnection(web.RequestHandler):
    """One client's connection."""

    __slots__ = ("_begun", "_connections", "_last", "_refused", "_request", "_unsent", "_wire", "due")

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
        self._connections = lane.connections
        self._wire: asyncio.Transport | None = None
        self._request: web.BaseRequest | None = None
        # The beginning of the head that is on its way.
        self._begun = b""
        self._refused = False
        # Whether the answer that is due is the last one.
        self._last = False
        self._unsent = 0
        self.due = NEVER

    def take_over(self, transport: asyncio.Transport, received: bytes, due: float) -> None:
        """Take over a connection with what it has received; its next head is due as it was."""
        transport.set_protocol(self)
        self.connection_made(transport)
        self.data_received(received)
        self.due = due

    def begin(self, request: web.BaseRequest) -> None:
        """A request is being handled; how long its body may take, whoever reads it says."""
        self._request = request
        self.due = NEVER

    def handled(self) -> None:
        """The request has been handled; what is left of its answer is on its way."""
        self._request, self._begun = None, b""
        self.due = self._loop.time() + patience.IDLE_SECONDS

    def late(self) -> None:
        """The client is late: it ends, unless it has taken some of its answer since."""
        assert self._wire is not None  # a connection is not late before it is made
        unsent = self._wire.get_write_buffer_size()
        if self.writing_paused and unsent < self._unsent:
            self._unsent = unsent
            self.due = self._loop.time() + patience.STALLED_SECONDS
        else:
            self._wire.abort()  # closing would wait for what the client does not read

    def refusal(self, error: Exception, data: bytes) -> "RefusedError":
        """What is said instead of an error of aiohttp's parser. The connection is read no further."""
        self._refused = True
        if self._request is not None and not self._request.content.is_eof():
            # It was the body of a request: nobody else tells who reads it, and who answers.
            self._request.content.set_exception(web.RequestPayloadError())
            self._request.content.feed_eof()
            self._last = True
        head = self._begun if self._request is None else data
        found = _PATH.match(head)
        return RefusedError(found[1].decode("latin-1") if found else "/", _reason(error, head))

    # asyncio's and aiohttp's side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The connection has come into the lane."""
        # uvloop's transports have the interface, not the base class.
        self._wire = cast("asyncio.Transport", transport)
        super().connection_made(transport)

    def connection_lost(self, exc: BaseException | None) -> None:
        """The client has gone."""
        self._connections.remove(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Bytes have come."""
        if self._refused:
            return
        if data and self._request is None:
            if not self._begun:
                self.due = self._loop.time() + patience.HEAD_SECONDS
            if len(self._begun) < _KEPT:
                self._begun += data[:_KEPT]
        super().data_received(data)

    def pause_writing(self) -> None:
        """The client does not read its answer."""
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
        """Send an answer. Of who was too slow, or went on with what is no HTTP, nothing more is awaited."""
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
        """The answer to what is no request, or to one whose handler failed. Raises ConnectionError where none can be
        sent.
        """
        if isinstance(exc, ConnectionError) or request.writer.output_size > 0:
            raise ConnectionError("The client has gone, or has a part of another answer.")
        if isinstance(exc, RefusedError):
            log.debug("request refused", reason=exc.message)
            answer = response(exc.path, TidemarkError(Kind.INVALID_REQUEST, exc.message))
        else:
            log.error("request failed", path=request.path, exc_info=exc)
            answer = response(
                request.path,
                TidemarkError(Kind.INTERNAL, "Something went wrong here; the log of the service says what."),
            )
        answer.force_close()
        return answer


class RefusedError(BadHttpMessage):
    """What is not a request of HTTP, without what was sent; `path` is `/` where none was found."""

    def __init__(self, path: str, message: str) -> None:
        super().__init__(message)
        self.path = path


class _Parser:
    """aiohttp's parser. Its errors, which repeat what was sent, stay here."""

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


def _handler(inner: Handler) -> Handler:
    """aiohttp's handler of requests, with the connection told of them, and with refusals of `Expect`."""

    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        connection = cast("AiohttpConnection", request.protocol)
        connection.begin(request)
        try:
            return await inner(request)
        except web.HTTPExpectationFailed:
            return response(
                request.path,
                TidemarkError(
                    Kind.EXPECTATION_FAILED, "Of expectations, 100-continue alone is understood.", field=hdrs.EXPECT
                ),
            )
        finally:
            connection.handled()

    return handle


def _reason(error: Exception, begun: bytes) -> str:
    if isinstance(error, LineTooLong):
        return "The request line or a header is too long."
    if begun.startswith(_TLS):
        return "This is TLS; plain HTTP is spoken here."
    if isinstance(error, BadHttpMethod):
        return "The request does not begin with a method of HTTP."
    message = getattr(error, "message", "")
    if _TELLING.fullmatch(message):
        return f"{message.rstrip('.')}."
    return "This is not a request of HTTP/1.1: its line, its headers or its body are malformed."
