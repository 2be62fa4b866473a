"""The five endpoints that dashboards read."""

import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

import orjson
from aiohttp import web

from tidemark.base.errors import forbidden, invalid
from tidemark.catalog.directory import Site
from tidemark.database.statements import statements
from tidemark.http.answer import Answer, cached
from tidemark.http.core import CORE, Core
from tidemark.http.limits import limited
from tidemark.http.parameters import Parameters
from tidemark.http.route import Handler
from tidemark.web import figures
from tidemark.web.figures import SiteDays
from tidemark.web.record import OTHER, as_pathname

SCOPE = "sites"
RANGES = {f"{days}d": days for days in figures.RANGES}
DEFAULT_RANGE = "7d"
CONTENT_TYPE = "application/json"

Make = Callable[[Core, Site, Parameters], Awaitable[Any]]


async def read_sites(request: web.Request) -> web.Response:
    """The sites of the caller's organization."""
    principal = await limited(request, SCOPE)
    Parameters.of(request)  # refuses any parameter
    async with request.app[CORE].database.snapshot() as connection:
        rows = await statements().sites_of_company.rows(connection, company_id=principal.company_id)
    document = orjson.dumps({"sites": [dict(row) for row in rows]})
    return web.Response(body=document, content_type=CONTENT_TYPE, charset="utf-8")


def _endpoint(make: Make, *known: str) -> Handler:
    async def handle(request: web.Request) -> web.Response:
        core = request.app[CORE]
        principal = await limited(request, SCOPE)
        parameters = Parameters.of(request, *known)
        _check(parameters)
        site = await core.directory.site(request.match_info["site_id"])
        if site is None or site.company_id != principal.company_id:
            raise forbidden("Forbidden — you do not have access to this site", "siteId")

        async def answer() -> Answer:
            asked_at = time.monotonic()
            return Answer(orjson.dumps(await make(core, site, parameters)), CONTENT_TYPE, asked_at)

        # The whole site is part of the key: its number is never reused, and its time zone may change.
        key = ("web", make.__name__, site, *sorted(parameters.items()))
        return await cached(request, core.cache, key, answer)

    return handle


async def _stats(core: Core, site: Site, parameters: Parameters) -> dict[str, Any]:
    async with core.database.snapshot() as connection:
        return await figures.stats(connection, site.site_number, _days(site, parameters))


async def _realtime(core: Core, site: Site, _parameters: Parameters) -> dict[str, Any]:
    async with core.database.snapshot() as connection:
        return await figures.realtime(connection, site.site_number, datetime.now(UTC))


async def _events(core: Core, site: Site, parameters: Parameters) -> dict[str, Any]:
    async with core.database.snapshot() as connection:
        return {"events": await figures.events(connection, site.site_number, _days(site, parameters))}


async def _pageviews(core: Core, site: Site, parameters: Parameters) -> dict[str, Any]:
    pathname = parameters.get("pathname")
    async with core.database.snapshot() as connection:
        return await figures.pageviews(
            connection,
            site.site_number,
            _days(site, parameters),
            None if pathname is None else as_pathname(pathname),
        )


read_stats = _endpoint(_stats, "range")
read_realtime = _endpoint(_realtime)
read_events = _endpoint(_events, "range")
read_pageviews = _endpoint(_pageviews, "range", "pathname")


def _check(parameters: Parameters) -> None:
    """Check what can be checked without I/O. Raises TidemarkError (400)."""
    if parameters.get("range", DEFAULT_RANGE) not in RANGES:
        raise invalid("range", f"range must be one of {', '.join(RANGES)}.")
    if not parameters.get("pathname", "/").startswith("/") and parameters["pathname"] != OTHER:
        raise invalid("pathname", "pathname must begin with a slash, like /pricing.")


def _days(site: Site, parameters: Parameters) -> SiteDays:
    today = datetime.now(UTC).astimezone(site.zone).date()
    return SiteDays.until(today, RANGES[parameters.get("range", DEFAULT_RANGE)])
