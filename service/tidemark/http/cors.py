"""Pages of other origins may read a surface's responses in a browser (CORS, the Fetch standard).

Pages send keys in headers that they set themselves, so there is no credentials mode.
"""

from aiohttp import hdrs, web
from multidict import CIMultiDict

from tidemark.http.core import CORE
from tidemark.http.surface import Origins, Surface

PREFLIGHT_SECONDS = 7200
"""How long browsers may cache the response to a preflight; Chromium accepts no more than this."""

_REQUEST_HEADERS = (
    "Accept, Authorization, Content-Encoding, Content-Type, If-None-Match, Last-Event-ID, ORGANIZATION-API-KEY, "
    "ORGANIZATION-ID, X-Request-Id"
)
_RESPONSE_HEADERS = (
    "Age, Allow, ETag, Retry-After, WWW-Authenticate, X-Aggregation, X-RateLimit-Limit, X-RateLimit-Remaining, "
    "X-RateLimit-Reset, X-Request-Id, X-Total-Count"
)


def add_headers(request: web.Request, response: web.StreamResponse, surface: Surface) -> None:
    """Let pages of other origins read a response, including errors, if its surface allows that."""
    if surface.origins is Origins.ANY:
        response.headers[hdrs.ACCESS_CONTROL_ALLOW_ORIGIN] = "*"
    elif surface.origins is Origins.ALLOWED:
        _admit(request, response.headers)


def _admit(request: web.Request, headers: CIMultiDict[str]) -> None:
    """Let pages of the allowed origins read a response, and send the headers that a preflight asks about."""
    allowed = request.app[CORE].settings.cors_origins
    if not allowed:
        return
    headers[hdrs.VARY] = f"{headers[hdrs.VARY]}, Origin" if hdrs.VARY in headers else "Origin"
    origin = request.headers.get(hdrs.ORIGIN)
    if origin not in allowed:
        return
    headers[hdrs.ACCESS_CONTROL_ALLOW_ORIGIN] = origin
    if request.method == hdrs.METH_OPTIONS and hdrs.ACCESS_CONTROL_REQUEST_METHOD in request.headers:
        headers[hdrs.ACCESS_CONTROL_ALLOW_METHODS] = headers.get(hdrs.ALLOW, "")
        headers[hdrs.ACCESS_CONTROL_ALLOW_HEADERS] = _REQUEST_HEADERS
        headers[hdrs.ACCESS_CONTROL_MAX_AGE] = str(PREFLIGHT_SECONDS)
    else:
        headers[hdrs.ACCESS_CONTROL_EXPOSE_HEADERS] = _RESPONSE_HEADERS
