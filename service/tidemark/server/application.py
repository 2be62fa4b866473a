"""The aiohttp application: every route, and what happens around each request."""

import re
import time
from collections.abc import Awaitable, Callable

import structlog
from aiohttp import hdrs, web

from tidemark.base.errors import Kind, TidemarkError, internal
from tidemark.catalog.http import management
from tidemark.coldchain.http import analytics, operations, sensor_data
from tidemark.coldchain.http.parts import OPERATIONS
from tidemark.http import authentication, body, cors, limits
from tidemark.http.core import CORE
from tidemark.http.errors import NO_SNIFFING, SERVER
from tidemark.http.errors import response as error_response
from tidemark.readings.http import bulk as readings
from tidemark.readings.http import (
    collectd,
    fetch,
    influx,
    influx_databases,
    influx_status,
    latest,
    prometheus,
    series,
    upload,
)
from tidemark.readings.http.parts import READINGS
from tidemark.server import health
from tidemark.server.parts import Parts
from tidemark.web.http import analytics as web_analytics
from tidemark.web.http import collect
from tidemark.web.http.parts import WEB

log = structlog.get_logger(__name__)

SENSOR_BASE = "/api/external/v1"
PLATFORM_BASE = "/api/v1"
WEB_BASE = "/api/v2"

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def application(parts: Parts) -> web.Application:
    """The application over one process's parts of the service."""
    app = web.Application(middlewares=[_around], client_max_size=parts.core.settings.max_body)
    app[CORE] = parts.core
    app[READINGS] = parts.readings
    app[OPERATIONS] = parts.operations
    app[WEB] = parts.web
    app.on_response_prepare.append(_add_headers)
    app.on_response_prepare.append(limits.add_headers)
    app.on_response_prepare.append(collect.add_headers)
    app.on_response_prepare.append(cors.add_headers)
    for method, path, handler in routes():
        _add(app, method, path, handler)
    return app


def routes() -> list[tuple[str, str, Handler]]:
    """Every route: method, path without the trailing slash, and handler."""
    return [
        (hdrs.METH_POST, f"{SENSOR_BASE}/inputs/{{input_pk}}/inputdata", _upload),
        *((hdrs.METH_GET, f"{SENSOR_BASE}/{path}", handler) for path, handler in fetch.routes()),
        *((method, f"{PLATFORM_BASE}/{path}", handler) for method, path, handler in management.routes()),
        *(
            (method, f"{PLATFORM_BASE}/{path}", handler)
            for module in (sensor_data, series, latest)
            for method, path, handler in module.routes()
        ),
        *((hdrs.METH_GET, f"{PLATFORM_BASE}/{path}", handler) for path, handler in analytics.routes()),
        (hdrs.METH_POST, f"{PLATFORM_BASE}/readings", readings.store),
        (hdrs.METH_DELETE, f"{PLATFORM_BASE}/readings", readings.delete),
        (hdrs.METH_POST, f"{PLATFORM_BASE}/operations", operations.store),
        (hdrs.METH_POST, f"{PLATFORM_BASE}/write", prometheus.write),
        (hdrs.METH_POST, f"{PLATFORM_BASE}/collectd", collectd.store),
        (hdrs.METH_POST, "/write", influx.write_v1),
        (hdrs.METH_POST, "/api/v2/write", influx.write_v2),
        (hdrs.METH_POST, "/api/v3/write_lp", influx.write_v3),
        (hdrs.METH_GET, influx_databases.BUCKETS, influx_databases.find_buckets),
        (hdrs.METH_POST, influx_databases.BUCKETS, influx_databases.make_bucket),
        (hdrs.METH_GET, f"{influx_databases.BUCKETS}/{{id}}", influx_databases.read_bucket),
        (hdrs.METH_GET, influx_databases.ORGANIZATIONS, influx_databases.find_organizations),
        (hdrs.METH_GET, f"{influx_databases.ORGANIZATIONS}/{{id}}", influx_databases.read_organization),
        *((hdrs.METH_GET, f"{WEB_BASE}/{path}", handler) for path, handler in web_analytics.routes()),
        (hdrs.METH_POST, collect.PATH, collect.collect),
        (hdrs.METH_OPTIONS, collect.PATH, collect.preflight),
        (hdrs.METH_GET, "/collect.js", collect.script),
        (hdrs.METH_GET, "/ping", influx_status.ping),
        (hdrs.METH_GET, "/health", influx_status.health),
        (hdrs.METH_GET, "/ready", influx_status.ready),
        (hdrs.METH_GET, "/query", influx_databases.query),
        (hdrs.METH_POST, "/query", influx_databases.query),
        (hdrs.METH_GET, "/health/live", health.live),
        (hdrs.METH_GET, "/health/ready", health.ready),
    ]


def _add(app: web.Application, method: str, path: str, handler: Handler) -> None:
    """A route with and without the trailing slash; GET answers HEAD too."""
    # Ids have braces where a series has tags; aiohttp would take none that come unescaped.
    path = re.sub(r"{(\w+)}", r"{\1:[^/]+}", path)
    for spelling in (path, f"{path}/"):
        app.router.add_route(method, spelling, handler)
        if method == hdrs.METH_GET:
            app.router.add_route(hdrs.METH_HEAD, spelling, handler)


async def _upload(request: web.Request) -> web.Response:
    core = request.app[CORE]
    principal = await authentication.organization(core.access, request.headers)
    content_type = request.headers.get(hdrs.CONTENT_TYPE, "")
    decoded = upload.decode(request.match_info["input_pk"], content_type, await body.whole(request))
    document = await upload.store(core.database, core.directory, request.app[READINGS].writer, principal, decoded)
    return web.Response(status=201, body=document, content_type=upload.CONTENT_TYPE)


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
    return error_response(request.path, error)


async def _add_headers(_request: web.Request, response: web.StreamResponse) -> None:
    response.headers[hdrs.SERVER] = SERVER
    response.headers.update(NO_SNIFFING)
