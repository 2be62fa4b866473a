"""`GET /api/v1/latest`: the last reading of each sensor, and how old it is."""

from collections.abc import AsyncGenerator, Sequence
from typing import TYPE_CHECKING, TypedDict

from aiohttp import web

from tidemark.base.errors import invalid
from tidemark.base.time import microseconds
from tidemark.base.values import clock, format_instant
from tidemark.database.statements import statements
from tidemark.http import items as answering
from tidemark.http import limits
from tidemark.http.core import CORE
from tidemark.http.items import Items, Row, Table
from tidemark.http.paging import PAGING
from tidemark.http.parameters import Parameters
from tidemark.readings.http.series import sensor_list, visible_sensors

if TYPE_CHECKING:
    from asyncpg import Record

    from tidemark.database.database import Connected

_ALL = 2**62

COLUMNS = ("sensor_id", "name", "asset_id", "specification_type", "measure_unit", "timestamp", "value", "age_seconds")


class _Which(TypedDict):
    """The parameters by which statements select sensors."""

    company_id: int
    ids: list[str] | None
    asset_id: int | None
    seen: Sequence[int] | None


async def read(request: web.Request) -> web.StreamResponse:
    """A page of sensors with their last readings; in CSV, all of them unless the request asks for a page."""
    principal = await limits.limited(request, "sensor_data")
    parameters = Parameters.of(request, "sensors", "asset_id", *PAGING)
    page = parameters.page()
    ids = sensor_list(parameters)
    asset_id = parameters.number("asset_id")
    if ids and asset_id is not None:
        raise invalid("asset_id", "Give sensors or asset_id, not both.")

    core = request.app[CORE]
    if ids:
        await visible_sensors(core, principal, ids)
    which: _Which = {
        "company_id": principal.company_id,
        "ids": list(ids) or None,
        "asset_id": asset_id,
        "seen": principal.seen,
    }
    as_csv = answering.wants_csv(request)
    if as_csv and not parameters.is_paged():
        async with core.database.long_snapshot(principal.company_id) as connection, connection.transaction():
            total = await _count(connection, which)
            return await answering.stream_csv(request, Table(COLUMNS, _pieces(connection, which), total))

    async def find() -> Items:
        async with core.database.snapshot() as connection, connection.transaction():
            total = await _count(connection, which)
            rows = await statements().latest_of_sensors.rows(connection, **which, max_rows=page.size, skip=page.skip)
        now = clock()
        return Items(COLUMNS, [_row(row, now) for row in rows], total)

    return await answering.answer(request, principal, page, find, as_csv=as_csv)


async def _count(connection: "Connected", which: _Which) -> int:
    """How many sensors there are. Raises TidemarkError for an asset that is unknown or that the token may not see."""
    asset_id = which["asset_id"]
    if asset_id is not None:
        known = await statements().read_asset.row(
            connection, company_id=which["company_id"], id=asset_id, seen=which["seen"]
        )
        if known is None:
            raise invalid("asset_id", f"asset_id {asset_id} is not one of the assets here.")
    total: int = await statements().count_seen_sensors.value(connection, **which)
    return total


async def _pieces(connection: "Connected", which: _Which) -> AsyncGenerator[list[Row], None]:
    now = clock()
    async for rows in statements().latest_of_sensors.pieces(connection, **which, max_rows=_ALL, skip=0):
        yield [_row(row, now) for row in rows]


def _row(row: "Record", now: int) -> Row:
    at = None if row["ts"] is None else microseconds(row["ts"])
    return (
        row["id"],
        row["name"],
        row["asset_id"],
        row["specification_type"],
        row["measure_unit"],
        None if at is None else format_instant(at),
        row["value"],
        None if at is None else (now - at) / 1_000_000,
    )
