"""Surfaces: the APIs of this service, each with its paths, its errors and its headers.

A route names its surface. If no route matches a request, its path decides.
"""

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum, auto

import orjson
from aiohttp import hdrs, web

from tidemark.base.errors import TidemarkError
from tidemark.http.errors import PLATFORM_ERRORS, ErrorShape

BEARER = 'Bearer realm="tidemark"'
BASIC = 'Basic realm="tidemark"'
BEARER_OR_BASIC = f"{BEARER}, {BASIC}"
"""For senders that may also use Basic, which some do only when asked to."""

NO_SNIFFING = {"X-Content-Type-Options": "nosniff"}
"""On every response, since some repeat what clients sent, and no browser must take that for a page."""

SERVER = "tidemark"
"""Without a version, of no help to whoever looks for one with a known vulnerability."""


class Origins(Enum):
    """The origins whose pages may read a surface's responses in a browser, besides its own."""

    NONE = auto()
    ALLOWED = auto()
    """The origins that the operator allows."""
    ANY = auto()


@dataclass(frozen=True, slots=True)
class Surface:
    """An API as its clients see it."""

    prefixes: tuple[str, ...]
    """Its paths; everything below them belongs to it too."""
    errors: ErrorShape
    challenge: str
    """The `WWW-Authenticate` header of a 401: which credentials are expected."""
    limited: bool = False
    """Whether requests count against a token's allowance, including those that no handler answers."""
    reset_in_milliseconds: bool = False
    """Whether `X-RateLimit-Reset` is in Unix milliseconds instead of Unix seconds."""
    origins: Origins = Origins.NONE

    def render(self, error: TidemarkError) -> tuple[int, dict[str, str], bytes]:
        """Status, headers and body of the response to a failed request."""
        headers = {"Content-Type": self.errors.content_type, **NO_SNIFFING}
        if error.retry_after is not None:
            headers["Retry-After"] = str(error.retry_after)
        if error.allow is not None:
            headers["Allow"] = error.allow
        if error.kind.status == 401:
            headers["WWW-Authenticate"] = self.challenge
        document = self.errors.document(error)
        try:
            body = orjson.dumps(document)
        except TypeError:  # it repeats text that is not UTF-8
            body = json.dumps(document, ensure_ascii=False).encode("utf-8", "replace")
        return error.kind.status.value, headers, body

    def response(self, error: TidemarkError) -> web.Response:
        """The response to a failed request in aiohttp's lane."""
        status, headers, document = self.render(error)
        return web.Response(status=status, headers={**headers, hdrs.SERVER: SERVER}, body=document)


ROOT = Surface(("",), PLATFORM_ERRORS, BEARER)
"""Everything that belongs to no API."""


class SurfaceMap:
    """The surfaces of an application, found by route or by path."""

    def __init__(self, surfaces: Iterable[Surface]) -> None:
        self._at = {prefix: surface for surface in (ROOT, *surfaces) for prefix in surface.prefixes}
        longest_first = sorted(self._at, key=len, reverse=True)
        self._prefix = re.compile(rf"(?:{'|'.join(map(re.escape, longest_first))})(?=/|\Z)")
        self._of_routes: dict[web.AbstractRoute, Surface] = {}

    def add(self, route: web.AbstractRoute, surface: Surface) -> None:
        """Record the surface of a route of the application."""
        self._of_routes[route] = surface

    def of(self, request: web.Request) -> Surface:
        """The surface of a request: that of its route, or of its path if no route matched."""
        return self._of_routes.get(request.match_info.route) or self.at(request.path)

    def at(self, path: str) -> Surface:
        """The surface of a path that no route matches: the one with the longest matching prefix."""
        prefix = self._prefix.match(path)
        return ROOT if prefix is None else self._at[prefix[0]]


SURFACE_MAP = web.AppKey("surface_map", SurfaceMap)


def surface_of(request: web.Request) -> Surface:
    """The surface of a request."""
    return request.app[SURFACE_MAP].of(request)
