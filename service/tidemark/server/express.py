"""An express lane for single-reading uploads, in front of aiohttp on the same port.

A gateway's connection carries one small POST after another, and aiohttp's request objects, routing and middleware cost
more for each than everything else together. So every connection starts here; as long as it carries plain uploads to the
sensor API, they are parsed (by httptools, which wraps llhttp) and answered here. The first request of any other kind
moves the connection, with everything received and not yet answered, to aiohttp for good. Both lanes decode, check,
store and answer with the same functions (`tidemark.readings.http.upload`), and the same tests run through both.
"""

import asyncio
import contextlib
import re
import time
from collections.abc import Awaitable
from email.utils import formatdate
from functools import lru_cache
from typing import cast

import httptools
import structlog

from tidemark.base.errors import TidemarkError, internal, unauthorized, unavailable
from tidemark.catalog.access import Access
from tidemark.catalog.directory import Directory
from tidemark.catalog.principal import Principal
from tidemark.database.database import Database
from tidemark.http import patience
from tidemark.readings.http import upload
from tidemark.readings.http.routes import SENSOR_API
from tidemark.readings.log.append import Appender
from tidemark.server.aiohttp_lane import AiohttpLane
from tidemark.server.connections import NEVER, Connections, http_answer, say_goodbye

log = structlog.get_logger(__name__)

MAX_HEAD = 8 * 1024
MAX_BODY = 64 * 1024
"""In bytes; larger bodies go to aiohttp, which refuses those that the settings do not allow."""
MAX_AHEAD = 256 * 1024
"""Bytes that a client may send ahead of its answers before its connection is read no further."""
MAX_HEADERS = 100
"""Requests with more headers go to aiohttp, which accepts a few more and refuses the rest."""
REMEMBERED_HEADS = 4_096
"""Gateways send the same heads again and again, and parsing one takes as long as reading the body."""
MAX_REMEMBERED = 1024
"""In bytes; larger heads are parsed each time."""

_PREFIX = b"POST /api/external/v1/inputs/"
# Paths that need decoding are for aiohttp.
_TARGET = re.compile(rb"/api/external/v1/inputs/([^/%?#\x80-\xff]+)/inputdata/?")
_PATH = "/api/external/v1/inputs/{input_pk}/inputdata/"
# Headers that ask for something this lane does not do, or that aiohttp refuses.
_ELSEWHERE = frozenset(
    (
        b"transfer-encoding",
        b"content-encoding",
        b"expect",
        b"upgrade",
        b"proxy-connection",
        b"sec-websocket-key1",
    )
)
_KEYS = {b"organization-id": "ORGANIZATION-ID", b"organization-api-key": "ORGANIZATION-API-KEY"}

_CREATED = (
    b"HTTP/1.1 201 Created\r\nContent-Type: application/vnd.api+json\r\nX-Content-Type-Options: nosniff\r\n"
    b"Content-Length: %d\r\nDate: %b\r\n\r\n%b"
)


class _Request:
    """The head of one request, as httptools reports it, and what this lane makes of it."""

    __slots__ = ("complete", "credentials", "headers", "input_pk", "length", "repeated", "url")

    def __init__(self) -> None:
        self.url = b""
        self.input_pk = ""
        self.length = 0
        """Of the body, in bytes."""
        self.credentials: tuple[str, str, str] | None = None
        """None if they are not as they should be; see `_credentials`."""
        self.headers: dict[bytes, bytes] = {}
        """Keyed by lower-case name."""
        self.repeated: tuple[bytes, ...] = ()
        self.complete = False

    def on_url(self, url: bytes) -> None:
        self.url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        name = name.lower()
        if name in self.headers:
            self.repeated += (name,)
        self.headers[name] = value.rstrip(b" \t")

    def on_headers_complete(self) -> None:
        self.complete = True


class ExpressLane:
    """What the connections of a process share: the appender, the way to aiohttp, the clock."""

    def __init__(
        self,
        database: Database,
        access: Access,
        directory: Directory,
        appender: Appender,
        elsewhere: AiohttpLane,
        connections: Connections,
        *,
        max_body: int,
        log_requests: bool,
    ) -> None:
        self.database = database
        self.access = access
        self.directory = directory
        self.appender = appender
        self.elsewhere = elsewhere
        self.connections = connections
        self.max_body = min(max_body, MAX_BODY)
        self.log_requests = log_requests
        self.here: set[ExpressConnection] = set()
        self.closing = False
        self.date = b""
        self._emptied = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self.now = self._loop.time
        self._tick()

    def __call__(self) -> asyncio.Protocol:
        """The protocol of a new connection."""
        return ExpressConnection(self)

    async def close(self) -> None:
        """Answer what was received, then close every connection."""
        self.closing = True
        self._timer.cancel()
        for connection in list(self.here):
            connection.close_when_idle()
        if self.here:
            await self._emptied.wait()

    def discard(self, connection: "ExpressConnection") -> None:
        """A connection has ended or left the lane."""
        self.here.discard(connection)
        if self.closing and not self.here:
            self._emptied.set()

    def _tick(self) -> None:
        self._timer = self._loop.call_later(1, self._tick)  # first, so that the clock goes on whatever happens below
        self.date = formatdate(usegmt=True).encode()


class ExpressConnection(asyncio.Protocol):
    """One client's connection: requests are answered one at a time, in order."""

    def __init__(self, lane: ExpressLane) -> None:
        self._lane = lane
        self._transport: asyncio.Transport | None = None
        self._received = b""
        self.due = lane.now() + patience.HEAD_SECONDS
        # Whether a request is being answered, and the body to send after its commit.
        self._busy = False
        self._advancing = False
        self._started = 0.0
        self._document = b""
        # The head of a request whose body is still arriving, and where that body begins and ends.
        self._request: _Request | None = None
        self._body_start = 0
        self._body_end = 0
        self._reading_paused = False
        self._writing_paused = False
        self._ended = False

    # Called by asyncio

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client has connected."""
        # uvloop's transports have the interface, not the base class.
        accepted = cast("asyncio.Transport", transport)
        if self._lane.connections.admit(self, accepted):
            self._transport = accepted
            self._lane.here.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """The client has disconnected; what it sent is stored all the same."""
        self._transport = None
        self._lane.connections.remove(self)
        self._lane.discard(self)

    def data_received(self, data: bytes) -> None:
        """Bytes have arrived; they wait while a request is being answered."""
        if self._received:
            self._received += data
        else:
            self._received = data
            if not self._busy and self._request is None:
                self.due = self._lane.now() + patience.HEAD_SECONDS
        self._advance()
        if len(self._received) > MAX_AHEAD and not self._reading_paused and self._transport is not None:
            self._reading_paused = True
            self._transport.pause_reading()

    def eof_received(self) -> bool:
        """The client sends no more, but still gets the answer that is due."""
        self._ended = True
        return self._busy

    def pause_writing(self) -> None:
        """The client is not reading its answers, and gets no more until it does."""
        self._writing_paused = True
        self.due = self._lane.now() + patience.STALLED_SECONDS

    def resume_writing(self) -> None:
        """The client reads again."""
        self._writing_paused = False
        self.due = NEVER if self._busy else self._lane.now() + patience.IDLE_SECONDS
        self._advance()

    # Requests and their answers

    def close_when_idle(self) -> None:
        """Close now, or after the answer in progress."""
        if not self._busy and self._transport is not None:
            self._transport.close()

    def late(self) -> None:
        """The client is late: if a body is missing, it is told so; else the connection just ends."""
        transport = self._transport
        if transport is None:
            return
        if self._request is None or self._writing_paused:
            transport.abort()  # closing would wait for the client to read
            return
        self._request, self._received = None, b""
        self._started = time.perf_counter()
        self._send_error(patience.too_slow())
        say_goodbye(transport)
        self.due = self._lane.now() + patience.GOODBYE_SECONDS

    def _advance(self) -> None:
        """Answer what was received, up to the first request that has to wait."""
        if self._advancing:
            return  # an immediate answer leads back here; a call for each would exhaust the stack
        self._advancing = True
        while self._received and not self._busy and not self._writing_paused and self._take_request():
            pass
        self._advancing = False

    def _take_request(self) -> bool:
        """Begin to answer the next request; False if it is not complete yet, or if the connection has gone."""
        if self._request is None:
            if not self._take_head():
                return False
            if len(self._received) < self._body_end:
                self.due = self._lane.now() + patience.BODY_SECONDS
        if len(self._received) < self._body_end or self._transport is None:
            return False
        request = self._request
        assert request is not None
        body = self._received[self._body_start : self._body_end]
        self._received = self._received[self._body_end :]
        self._request = None
        self._busy = True
        self.due = NEVER
        self._started = time.perf_counter() if self._lane.log_requests else 0.0
        try:
            self._answer(request, body)
        except TidemarkError as error:
            self._send_error(error)
        return True

    def _take_head(self) -> bool:
        """Parse the next head; False if it is not complete yet, or if the connection has left the lane."""
        received = self._received
        if not received:
            return False
        end = received.find(b"\r\n\r\n")
        size = len(received) if end < 0 else end + 4
        if size > MAX_HEAD or not received.startswith(_PREFIX[:size]):
            return self._leave()
        if end < 0:
            return False if _is_begun(received) else self._leave()
        head = received[:size]
        request = _remembered(head) if size <= MAX_REMEMBERED else _parsed(head)
        if request is None or request.length > self._lane.max_body:
            return self._leave()
        self._request, self._body_start, self._body_end = request, size, size + request.length
        return True

    def _leave(self) -> bool:
        """Move the connection to aiohttp, with everything that is not yet answered."""
        transport = self._transport
        if transport is not None:
            self._lane.discard(self)
            if self._reading_paused:
                transport.resume_reading()  # aiohttp has limits of its own
            following = self._lane.elsewhere()
            self._lane.connections.hand_over(self, following)
            following.take_over(transport, self._received, self.due)
            self._transport, self._received = None, b""
        return False

    def _answer(self, request: _Request, body: bytes) -> None:
        """Begin to answer: at once if everything needed is remembered, in a task if it must be looked up."""
        lane = self._lane
        if lane.closing:
            raise unavailable("The service is stopping; send this reading again.")
        organization_id, api_key, content_type = request.credentials or _credentials(request)
        input_pk = request.input_pk
        principal = lane.access.remembered_organization(organization_id, api_key)
        if principal is None:
            self._answer_later(self._look_up(organization_id, api_key, input_pk, content_type, body))
            return
        decoded = upload.decode(input_pk, content_type, body)
        sensor = lane.directory.remembered_sensor(principal.company_id, decoded.sensor_id)
        if sensor is None or principal.readings_per_minute is not None:
            self._answer_later(upload.store(lane.database, lane.directory, lane.appender, principal, decoded))
            return
        committed, self._document = upload.shared_commit(lane.appender, principal, sensor, decoded)
        committed.add_done_callback(self._committed)

    async def _look_up(
        self, organization_id: str, api_key: str, input_pk: str, content_type: str, body: bytes
    ) -> bytes:
        lane = self._lane
        principal: Principal = await lane.access.organization(organization_id, api_key)
        decoded = upload.decode(input_pk, content_type, body)
        return await upload.store(lane.database, lane.directory, lane.appender, principal, decoded)

    def _answer_later(self, answer: Awaitable[bytes]) -> None:
        asyncio.ensure_future(answer).add_done_callback(self._looked_up)

    def _committed(self, committed: "asyncio.Future[None]") -> None:
        error = committed.exception()
        if error is None:
            self._send_created(self._document)
        else:
            self._send_error(error)

    def _looked_up(self, answer: "asyncio.Future[bytes]") -> None:
        error = answer.exception()
        if error is None:
            self._send_created(answer.result())
        else:
            self._send_error(error)

    def _send_created(self, document: bytes) -> None:
        self._send(
            _CREATED % (len(document), self._lane.date, document),
            201,
        )

    def _send_error(self, error: BaseException) -> None:
        if not isinstance(error, TidemarkError):
            log.error("request failed", path=_PATH, exc_info=error)
            error = internal()
        status, headers, body = SENSOR_API.render(error)
        self._send(http_answer(status, headers, body, self._lane.date), status)

    def _send(self, answer: bytes, status: int) -> None:
        self._busy = False
        self.due = self._lane.now() + patience.IDLE_SECONDS
        if self._lane.log_requests:
            milliseconds = round((time.perf_counter() - self._started) * 1000, 3)
            log.debug("request", method="POST", path=_PATH, status=status, milliseconds=milliseconds)
        transport = self._transport
        if transport is None:
            return
        transport.write(answer)
        if self._lane.closing or (self._ended and not self._received):
            transport.close()
            return
        if self._reading_paused and len(self._received) <= MAX_AHEAD:
            self._reading_paused = False
            transport.resume_reading()
        self._advance()


def _is_begun(part: bytes) -> bool:
    """Whether this may become the head of a request for this lane."""
    request = _Request()
    return _fed(request, part) is not None and not request.complete


def _parsed(head: bytes) -> _Request | None:
    """A whole head; None if the request is for aiohttp."""
    request = _Request()
    parser = _fed(request, head)
    if parser is None or not request.complete or parser.get_http_version() != "1.1":
        return None
    length, target = _body_length(request), _TARGET.fullmatch(request.url)
    if length is None or target is None:
        return None
    request.length, request.input_pk = length, target[1].decode("ascii")
    with contextlib.suppress(TidemarkError):
        request.credentials = _credentials(request)
    return request


_remembered = lru_cache(REMEMBERED_HEADS)(_parsed)


def _fed(request: _Request, data: bytes) -> httptools.HttpRequestParser | None:
    """The parser that has told `request` of the data; None if it refuses them."""
    parser = httptools.HttpRequestParser(request)
    try:
        parser.feed_data(data)
    except (httptools.HttpParserError, httptools.HttpParserUpgrade):
        return None
    return parser


def _body_length(request: _Request) -> int | None:
    """The length of the body; None if the request is for aiohttp: it asks for something this lane does not do, or has
    something that aiohttp refuses.
    """
    headers = request.headers
    if not _ELSEWHERE.isdisjoint(headers) or headers.get(b"connection", b"keep-alive").lower() != b"keep-alive":
        return None
    if b"host" not in headers or len(headers) > MAX_HEADERS:
        return None
    if request.repeated and not _KEYS.keys() >= set(request.repeated):
        return None
    length = headers.get(b"content-length")
    return None if length is None else int(length)  # llhttp has checked that it is digits


def _credentials(request: _Request) -> tuple[str, str, str]:
    """Organization id, key and content type of a request. Raises TidemarkError."""
    for name in request.repeated:
        raise unauthorized(f"The header {_KEYS[name]} is given more than once; send it once.", _KEYS[name])
    headers = request.headers
    for name, shown in _KEYS.items():
        if not headers.get(name):
            raise unauthorized(f"The header {shown} is missing.", shown)
    return (
        headers[b"organization-id"].decode("utf-8", "surrogateescape"),
        headers[b"organization-api-key"].decode("utf-8", "surrogateescape"),
        headers.get(b"content-type", b"").decode("utf-8", "surrogateescape"),
    )
