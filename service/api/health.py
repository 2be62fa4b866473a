"""Health checks, for those who start, watch and stop the service."""

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
        async with request.app[CORE].database.snapshot() as connection:
            await connection.execute(statements().ping.text, timeout=READY_SECONDS)
    except TidemarkError as error:
        return web.json_response(
            {"status": "unavailable", "reason": error.message}, status=503, headers={"Retry-After": "1"}
        )
    return web.json_response({"status": "ok"})
