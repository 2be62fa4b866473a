"""Routes: which handler answers which requests."""

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from aiohttp import hdrs, web

from tidemark.http.surface import SURFACE_MAP, Surface

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, slots=True)
class Route:
    """A method and a path (written without the trailing slash), the handler, and the surface it belongs to."""

    method: str
    path: str
    handler: Handler
    surface: Surface


def add(app: web.Application, route: Route) -> None:
    """Add a route to an application, with and without the trailing slash; a GET route also answers HEAD."""
    # The ids of series with tags contain braces; by itself, aiohttp would match no unescaped ones.
    path = re.sub(r"{(\w+)}", r"{\1:[^/]+}", route.path)
    methods = (hdrs.METH_GET, hdrs.METH_HEAD) if route.method == hdrs.METH_GET else (route.method,)
    for spelling in (path, f"{path}/"):
        for method in methods:
            app[SURFACE_MAP].add(app.router.add_route(method, spelling, route.handler), route.surface)
