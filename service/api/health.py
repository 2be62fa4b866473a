"""Health checks, for those who start, watch and stop the service."""

import asyncio

from aiohttp import web

from service.api.core import CORE
from service.errors import TidemarkError
from service.storage.statements import statements

READY_SECONDS = 2.0


async def live(_request: web.Request) -> web.Response:
    """200 as long as the process answers at all."""
    return web.json_response({"status": "ok"})


async def ready(request: web.Request) -> web.Response:
    """200 where the database answers with the right schema, else 503."""
    try:
        # Around all of it: a server that hangs also keeps waiting who asks for a connection, or gives one back.
        async with asyncio.timeout(READY_SECONDS), request.app[CORE].database.snapshot() as connection:
            await connection.execute(statements().ping.text)
    except TidemarkError as error:
        return _unavailable(error.message)
    except TimeoutError:
        return _unavailable(f"The database does not answer within {READY_SECONDS:g} seconds.")
    return web.json_response({"status": "ok"})


def _unavailable(reason: str) -> web.Response:
    return web.json_response({"status": "unavailable", "reason": reason}, status=503, headers={"Retry-After": "1"})
