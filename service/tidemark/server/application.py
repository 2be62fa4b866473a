"""The aiohttp application: every route, and what happens around each request."""

import time

import structlog
from aiohttp import hdrs, web

from tidemark.base.errors import Kind, TidemarkError, internal
from tidemark.catalog.http import routes as catalog
from tidemark.coldchain.http import routes as coldchain
from tidemark.coldchain.http.parts import OPERATIONS
from tidemark.http import authentication, cors, limits
from tidemark.http.core import CORE
from tidemark.http.route import Handler, add
from tidemark.http.surface import NO_SNIFFING, SERVER, SURFACE_MAP, SurfaceMap, surface_of
from tidemark.readings.http import routes as readings
from tidemark.readings.http.parts import READINGS
from tidemark.server import health
from tidemark.server.parts import Parts
from tidemark.web.http import routes as web_analytics
from tidemark.web.http.parts import WEB

log = structlog.get_logger(__name__)

SURFACES = (*catalog.SURFACES, *readings.SURFACES, *coldchain.SURFACES, *web_analytics.SURFACES)
ROUTES = (*catalog.ROUTES, *readings.ROUTES, *coldchain.ROUTES, *web_analytics.ROUTES, *health.ROUTES)


def application(parts: Parts) -> web.Application:
    """The application over one process's parts of the service."""
    app = web.Application(middlewares=[_around], client_max_size=parts.core.settings.max_body)
    app[CORE] = parts.core
    app[READINGS] = parts.readings
    app[OPERATIONS] = parts.operations
    app[WEB] = parts.web
    app[SURFACE_MAP] = SurfaceMap(SURFACES)
    app.on_response_prepare.append(_add_headers)
    for route in ROUTES:
        add(app, route)
    return app


@web.middleware
async def _around(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Errors in the shape of the surface, OPTIONS, and the request log."""
    began = time.perf_counter()
    response = await _answer(request, handler)
    if request.app[CORE].settings.log_level == "debug":
        milliseconds = round((time.perf_counter() - began) * 1000, 3)
        log.debug(
            "request",
            method=request.method,
            path=request.path,
            status=response.status,
            milliseconds=milliseconds,
        )
    return response


async def _answer(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        authentication.refuse_key_in_query(request)
        return await handler(request)
    except TidemarkError as error:
        return _error(request, error)
    except web.HTTPMethodNotAllowed as error:
        allow = ", ".join(sorted({*error.allowed_methods, hdrs.METH_OPTIONS}))
        if request.method == hdrs.METH_OPTIONS:
            return web.Response(status=204, headers={hdrs.ALLOW: allow})
        return await _nowhere(
            request,
            TidemarkError(Kind.METHOD_NOT_ALLOWED, f"{request.method} is not possible here; {allow} are.", allow=allow),
        )
    except web.HTTPNotFound:
        return await _nowhere(request, TidemarkError(Kind.NOT_FOUND, f"There is nothing at {request.path[:200]}."))
    except web.HTTPRequestEntityTooLarge:
        most = request.app[CORE].settings.max_body
        return _error(request, TidemarkError(Kind.TOO_LARGE, f"The body is larger than {most} bytes."))
    except web.RequestPayloadError:
        return _error(
            request,
            TidemarkError(
                Kind.INVALID_REQUEST, "The body is not encoded as Content-Encoding or Transfer-Encoding says."
            ),
        )
    except web.HTTPException:
        raise
    except ConnectionError:
        raise  # the client has gone; there is nobody to answer
    except Exception:
        log.exception("request failed", method=request.method, path=request.path)
        return _error(
            request,
            internal(),
        )


async def _nowhere(request: web.Request, error: TidemarkError) -> web.Response:
    """The answer where no handler is, which counts against the limit where there is one."""
    try:
        await limits.note(request)
    except TidemarkError as refused:
        return _error(request, refused)
    return _error(request, error)


def _error(request: web.Request, error: TidemarkError) -> web.Response:
    return surface_of(request).response(error)


async def _add_headers(request: web.Request, response: web.StreamResponse) -> None:
    response.headers[hdrs.SERVER] = SERVER
    response.headers.update(NO_SNIFFING)
    surface = surface_of(request)
    limits.add_headers(request, response, surface)
    cors.add_headers(request, response, surface)
