"""`GET /api/v1/latest`: the last reading of sensors, and how old it is."""

import time
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import hdrs, web

from service.access import Principal
from service.api import limits
from service.api.coldchain import answering
from service.api.coldchain.answering import Items
from service.api.coldchain.parameters import number
from service.api.coldchain.series import sensor_list, visible_sensors
from service.api.core import CORE, Core
from service.api.platform.paging import Page, parse_page
from service.errors import invalid
from service.ingest.values import format_instant
from service.query.window import microseconds
from service.storage.statements import statements

COLUMNS = ("sensor_id", "name", "asset_id", "specification_type", "measure_unit", "timestamp", "value", "age_seconds")


def routes() -> list[tuple[str, str, Callable[[web.Request], Awaitable[web.Response]]]]:
    """Method, path below the surface's base, and handler."""
    return [(hdrs.METH_GET, "latest", _latest)]


async def _latest(request: web.Request) -> web.Response:
    principal = await limits.limited(request, "sensor_data")
    page = parse_page(request.query, "sensors", "asset_id")
    ids = sensor_list(request)
    asset_id = number(request.query, "asset_id")
    if ids and asset_id is not None:
        raise invalid("asset_id", "Give sensors or asset_id, not both.")

    async def find() -> Items:
        return await _find(request.app[CORE], principal, ids, asset_id, page)

    return await answering.answer(request, principal, page, find, COLUMNS)


async def _find(core: Core, principal: Principal, ids: tuple[str, ...], asset_id: int | None, page: Page) -> Items:
    if ids:
        await visible_sensors(core, principal, ids)
    which: dict[str, Any] = {
        "company_id": principal.company_id,
        "ids": list(ids) or None,
        "asset_id": asset_id,
        "seen": principal.seen,
    }
    sql = statements()
    async with core.database.snapshot() as connection, connection.transaction():
        if asset_id is not None:
            known = await sql.read_asset.row(
                connection, company_id=principal.company_id, id=asset_id, seen=principal.seen
            )
            if known is None:
                raise invalid("asset_id", f"asset_id {asset_id} is not one of the assets here.")
        total = await sql.count_seen_sensors.value(connection, **which)
        rows = await sql.latest_of_sensors.rows(connection, **which, most=page.size, skip=page.skip)
    now = time.time_ns() // 1000
    return Items(
        [
            {
                "sensor_id": row["id"],
                "name": row["name"],
                "asset_id": row["asset_id"],
                "specification_type": row["specification_type"],
                "measure_unit": row["measure_unit"],
                "timestamp": None if row["ts"] is None else format_instant(microseconds(row["ts"])),
                "value": row["value"],
                "age_seconds": None if row["ts"] is None else (now - microseconds(row["ts"])) / 1_000_000,
            }
            for row in rows
        ],
        total,
    )
