"""Health checks, for whatever starts, monitors and stops the service."""

import asyncio

from aiohttp import web

from tidemark.base.errors import TidemarkError
from tidemark.database.database import Database
from tidemark.database.statements import statements
from tidemark.http.core import CORE
from tidemark.http.route import Route
from tidemark.http.surface import ROOT

READY_SECONDS = 2.0


async def live(_request: web.Request) -> web.Response:
    """200 as long as the process answers at all."""
    return web.json_response({"status": "ok"})


async def ready(request: web.Request) -> web.Response:
    """200 if the database answers, its schema is right and no task of this process has failed; else 503."""
    core = request.app[CORE]
    if core.watch.failed:
        return _unavailable(f"A part of the service has failed: {', '.join(core.watch.failed)}. Restart it.")
    if not core.database.ready.is_set():
        return _unavailable(core.database.obstacle)
    # In a task of its own: with a server that hangs, giving a connection back waits too, even when cancelled.
    ping = asyncio.create_task(_ping(core.database))
    if not (await asyncio.wait((ping,), timeout=READY_SECONDS))[0]:
        ping.cancel()
        return _unavailable(f"The database does not answer within {READY_SECONDS:g} seconds.")
    try:
        ping.result()
    except TidemarkError as error:
        return _unavailable(error.message)
    return web.json_response({"status": "ok"})


async def _ping(database: Database) -> None:
    async with database.snapshot() as connection:
        await statements().ping.run(connection)


def _unavailable(reason: str) -> web.Response:
    return web.json_response({"status": "unavailable", "reason": reason}, status=503, headers={"Retry-After": "1"})


ROUTES = (
    Route("GET", "/health/live", live, ROOT),
    Route("GET", "/health/ready", ready, ROOT),
)
