"""A process's open connections, in both lanes: how many there may be, and the end of those that are late."""

import asyncio
import contextlib
import math
import resource
import sys
from collections import Counter
from collections.abc import Sequence
from email.utils import formatdate
from functools import lru_cache
from http import HTTPStatus
from ipaddress import IPv6Address, ip_network
from typing import Protocol

import structlog

from tidemark.base.errors import unavailable
from tidemark.base.settings import MaxConnections
from tidemark.http import patience
from tidemark.http.client_address import Network, address_of
from tidemark.http.surface import ROOT

log = structlog.get_logger(__name__)

NEVER = math.inf
RESERVED = 200
"""File descriptors that are kept back for the database, for files, and for connections that are being refused."""
RETRY_AFTER = 5
_REFUSING = 100
"""Refused connections that are kept open for a moment, so that the refusal reaches the client."""
CHECK_SECONDS = 1.0
_REPORT_SECONDS = 60.0
_MACOS_DESCRIPTORS = 10_240
"""The number that macOS grants, although it calls its hard limit unlimited."""
_IPV6_SITE = 64
"""Length of an IPv6 site's prefix, in bits; anyone at the site chooses the other bits freely."""


class Timed(Protocol):
    """A connection with a deadline."""

    due: float
    """When it is late, on the loop's clock; NEVER while the service is to act next."""

    def late(self) -> None:
        """End, or set another deadline."""


class Connections:
    """A process's open connections, limited in total and per address.

    `trusted` are the networks of proxies, which have many clients: only the total limits them.
    """

    def __init__(self, limit: MaxConnections, trusted: Sequence[Network]) -> None:
        self._limit = limit
        self._open: dict[Timed, str | None] = {}
        self._from: Counter[str] = Counter()
        self._party = lru_cache(10_000)(lambda address: _party(address, trusted))
        self._refusing: set[_Refusal] = set()
        self._refused = 0
        self._loop = asyncio.get_running_loop()
        self._reported = -math.inf
        self._check()

    def admit(self, connection: Timed, transport: asyncio.Transport) -> bool:
        """Count a new connection; False if there are too many, and it is being refused."""
        peer = transport.get_extra_info("peername")
        party = self._party(peer[0]) if isinstance(peer, tuple) else None
        if len(self._open) >= self._limit.total or (party is not None and self._from[party] >= self._limit.per_address):
            self._refuse(transport)
            return False
        self._open[connection] = party
        if party is not None:
            self._from[party] += 1
        return True

    def hand_over(self, connection: Timed, following: Timed) -> None:
        """Another protocol has taken over a connection."""
        self._open[following] = self._open.pop(connection)

    def remove(self, connection: Timed) -> None:
        """A connection has ended."""
        party = self._open.pop(connection, None)
        if party is not None:
            self._from[party] -= 1
            if not self._from[party]:
                del self._from[party]

    def close(self) -> None:
        """Stop looking for late connections."""
        self._timer.cancel()

    def _check(self) -> None:
        self._timer = self._loop.call_later(CHECK_SECONDS, self._check)  # first: it goes on whatever happens below
        now = self._loop.time()
        for connection in [one for one in self._open if one.due < now]:
            connection.late()
        if self._refused and now - self._reported > _REPORT_SECONDS:
            log.warning("connections refused: too many are open", refused=self._refused, open=len(self._open))
            self._refused, self._reported = 0, now

    def _refuse(self, transport: asyncio.Transport) -> None:
        self._refused += 1
        transport.write(_refusal())
        if len(self._refusing) >= _REFUSING:
            transport.close()
        else:
            transport.set_protocol(_Refusal(transport, self._refusing))


class _Refusal(asyncio.Protocol):
    """A connection that is being refused. Closed at once with its request unread, it would be reset, answer and all."""

    def __init__(self, transport: asyncio.Transport, refusing: "set[_Refusal]") -> None:
        self._refusing = refusing
        self._timer = asyncio.get_running_loop().call_later(patience.GOODBYE_SECONDS, transport.abort)
        refusing.add(self)
        transport.write_eof()

    def connection_lost(self, exc: Exception | None) -> None:
        """The client has read the refusal, or its time is over."""
        self._timer.cancel()
        self._refusing.discard(self)


def possible(limit: MaxConnections, workers: int) -> MaxConnections:
    """How many connections one of this many processes may have, as far as its file descriptors go.

    Sets the limit of file descriptors as high as the system allows.
    """
    share = limit.share(workers)
    descriptors = _raise_descriptors()
    room = max(descriptors - RESERVED, descriptors // 4, 1)
    return share if share.total <= room else MaxConnections(room, min(share.per_address, room))


def report_shortage(limit: MaxConnections, workers: int) -> None:
    """Log if a process has too few file descriptors for its connections; it is a warning if their number was set."""
    share, granted = limit.share(workers), possible(limit, workers)
    if granted.total == share.total:
        return
    tell = log.info if limit == MaxConnections() else log.warning
    tell(
        "fewer connections than asked for: raise the limit of file descriptors (ulimit -Hn)",
        connections=granted.total,
        asked_for=share.total,
        descriptors=resource.getrlimit(resource.RLIMIT_NOFILE)[0],
        needed=share.total + RESERVED,
    )


def say_goodbye(transport: asyncio.Transport) -> None:
    """Let the client read its last answer: closed while it still sends, the connection would be reset and lose it."""
    if not transport.is_closing():
        transport.pause_reading()
        transport.write_eof()


def http_answer(status: int, headers: dict[str, str], body: bytes, date: bytes) -> bytes:
    """An HTTP response as bytes, for connections that are not aiohttp's."""
    lines = [f"HTTP/1.1 {status} {HTTPStatus(status).phrase}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    lines += [f"Content-Length: {len(body)}", f"Date: {date.decode()}", "", ""]
    return "\r\n".join(lines).encode() + body


def _refusal() -> bytes:
    # No request has been read, so there is no path to tell its surface.
    status, headers, body = ROOT.render(unavailable("Too many connections are open; come back later.", RETRY_AFTER))
    return http_answer(status, {**headers, "Connection": "close"}, body, formatdate(usegmt=True).encode())


def _party(address: str, trusted: Sequence[Network]) -> str | None:
    """Under what the connections of an address are counted together; None if they are not."""
    parsed = address_of(address)
    if parsed is None:
        return address
    if any(parsed in network for network in trusted):
        return None
    if isinstance(parsed, IPv6Address):
        return str(ip_network((int(parsed), _IPV6_SITE), strict=False))
    return str(parsed)


def _raise_descriptors() -> int:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    for limit in (hard, _MACOS_DESCRIPTORS):
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))
            return limit if limit != resource.RLIM_INFINITY else sys.maxsize
    return soft
