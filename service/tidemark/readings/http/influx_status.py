"""What InfluxDB's clients ask about the server itself, without credentials: whether it is up, healthy and ready."""

import time
from datetime import UTC, datetime

from aiohttp import web

from tidemark.base.version import TIDEMARK_VERSION
from tidemark.http.core import CORE

VERSION = "1.8.0"
"""The version of InfluxDB whose write API this is; clients ask for it."""
_OWN_VERSION = {"X-Tidemark-Version": TIDEMARK_VERSION}

_STARTED = time.time()


async def ping(_request: web.Request) -> web.Response:
    """`/ping`: 204 and the versions."""
    headers = {"X-Influxdb-Version": VERSION, "X-Influxdb-Build": "OSS", **_OWN_VERSION}
    return web.Response(status=204, headers=headers)


async def health(request: web.Request) -> web.Response:
    """`/health`: InfluxDB 2's health document; 503 while nothing can be stored."""
    is_ready = request.app[CORE].database.ready.is_set()
    document: dict[str, object] = {
        "name": "tidemark",
        "message": "ready for writes" if is_ready else "the database is not ready yet",
        "status": "pass" if is_ready else "fail",
        "checks": [],
        "version": VERSION,
        "tidemark_version": TIDEMARK_VERSION,
    }
    return web.json_response(document, status=200 if is_ready else 503, headers=_OWN_VERSION)


async def ready(request: web.Request) -> web.Response:
    """`/ready`: how long the server has been running, in InfluxDB 2's document; 503 while nothing can be stored."""
    is_ready = request.app[CORE].database.ready.is_set()
    minutes, seconds = divmod(int(time.time() - _STARTED), 60)
    document = {
        "status": "ready" if is_ready else "not ready",
        "started": datetime.fromtimestamp(_STARTED, UTC).isoformat().replace("+00:00", "Z"),
        "up": f"{minutes // 60}h{minutes % 60}m{seconds}s",
    }
    return web.json_response(document, status=200 if is_ready else 503)
