"""`/api/v1/analytics`: users, utilization, revenue and impact of cooling units."""

import time
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any

import orjson
from aiohttp import web

from tidemark.base.errors import invalid
from tidemark.catalog.cooling_units import CoolingUnit, visible
from tidemark.coldchain.impact import impact
from tidemark.coldchain.question import PERIODS, Question, question
from tidemark.coldchain.revenue import PAYMENT_STATUSES, revenue
from tidemark.coldchain.users import users
from tidemark.coldchain.utilization import utilization
from tidemark.http.answer import Answer, cached
from tidemark.http.core import CORE
from tidemark.http.items import filters
from tidemark.http.limits import limited
from tidemark.http.paging import PAGING, envelope
from tidemark.http.parameters import Parameters

if TYPE_CHECKING:
    from tidemark.database.database import Connected

AT_ONCE = 5_000
"""Number of periods, across units, that are computed together: more would hold up other requests."""
MAX_PERIODS = 400_000
"""Maximum number of periods, across units, in a response: some hundred megabytes."""

_FILTERS = ("start_date", "end_date", "period", "cooling_unit_id", "location_id")
_IDS = ("cooling_unit_id", "location_id")

Measure = Callable[["Connected", Question, Sequence[CoolingUnit]], Awaitable[list[dict[str, Any]]]]
"""Computes the items of some units."""


def _revenue(parameters: Parameters) -> Measure:
    status = parameters.choice("payment_status", "all", *PAYMENT_STATUSES)
    return lambda connection, asked, units: revenue(connection, asked, units, status)


def _handler(
    scope: str, measure_of: Callable[[Parameters], Measure], *others: str
) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def handle(request: web.Request) -> web.Response:
        core = request.app[CORE]
        principal = await limited(request, scope)
        parameters = Parameters.of(request, *_FILTERS, *others, *PAGING)
        page = parameters.page()
        first, last = parameters.dates()
        period = parameters.choice("period", "month", *PERIODS)
        ids = {name: parameters.number(name) for name in _IDS}
        measure = measure_of(parameters)

        async def make() -> Answer:
            asked_at = time.monotonic()
            async with core.database.snapshot() as connection, connection.transaction():
                units = await visible(connection, principal, **ids)
                asked = await question(connection, principal.company_id, first, last, period)
                items = await _items(connection, asked, units[page.skip : page.skip + page.size], measure)
            meta = {
                "company_id": principal.company_id,
                "filters": filters(parameters),
                "pagination": envelope(page, len(units)),
            }
            body = b'{"data":[' + b",".join(items) + b'],"meta":' + orjson.dumps(meta) + b"}"
            return Answer(body, "application/json", asked_at)

        key = (principal.company_id, principal.cooling_unit_ids, request.path.rstrip("/"), request.query_string)
        return await cached(request, core.cache, key, make)

    return handle


read_users = _handler("users", lambda _: users)
read_utilization = _handler("utilization", lambda _: utilization)
read_revenue = _handler("revenue", _revenue, "payment_status")
read_impact = _handler("impact", lambda _: impact)


async def _items(
    connection: "Connected", asked: Question, units: Sequence[CoolingUnit], measure: Measure
) -> list[bytes]:
    """The items as JSON, a few units at a time: this limits the use of memory and gives other requests their turn."""
    periods = len(asked.periods)
    if periods * len(units) > MAX_PERIODS:
        raise invalid(
            "page_size",
            f"A page of {len(units)} cooling units with {periods} periods each is too large; "
            f"use a page_size of at most {max(1, MAX_PERIODS // periods)}.",
        )
    at_once = max(1, AT_ONCE // periods)
    items: list[bytes] = []
    for start in range(0, len(units), at_once):
        items += map(orjson.dumps, await measure(connection, asked, units[start : start + at_once]))
    return items
