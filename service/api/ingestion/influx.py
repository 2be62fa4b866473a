"""What InfluxDB's clients and Telegraf speak: line protocol on both write endpoints, and what they ask before."""

import re
from functools import partial
from typing import Literal
from urllib.parse import parse_qs

from aiohttp import hdrs, web

from service.access import Principal
from service.api import authentication, body
from service.api.core import CORE, Core
from service.catalog.first_sight import NamedSeries
from service.errors import TidemarkError, invalid
from service.ingest import quota
from service.ingest.columns import BodyError
from service.ingest.decode.line_protocol import LineProtocol, PrecisionError, precision
from service.ingest.pipeline import Outcome, Pipeline, decoded
from service.ingest.values import clock

VERSION = "1.8.0"
"""The version of InfluxDB whose write API this is, for clients that ask."""
_HARMLESS = re.compile(r"\s*(show\s+databases|create\s+database\s[^;]+?)\s*;?\s*", re.IGNORECASE)
_MAX_QUERY = 64 * 1024


async def write_v1(request: web.Request) -> web.Response:
    """`POST /write`: line protocol as InfluxDB 1 takes it."""
    return await _write(request, 1)


async def write_v2(request: web.Request) -> web.Response:
    """`POST /api/v2/write`: line protocol as InfluxDB 2 takes it."""
    return await _write(request, 2)


async def ping(_request: web.Request) -> web.Response:
    """`/ping`: 204 and the version, without credentials."""
    return web.Response(status=204, headers={"X-Influxdb-Version": VERSION, "X-Influxdb-Build": "OSS"})


async def health(request: web.Request) -> web.Response:
    """`/health`: InfluxDB 2's health document; 503 while nothing can be stored."""
    ready = request.app[CORE].database.ready.is_set()
    document: dict[str, object] = {
        "name": "tidemark",
        "message": "ready for writes" if ready else "the database is not ready yet",
        "status": "pass" if ready else "fail",
        "checks": [],
        "version": VERSION,
    }
    return web.json_response(document, status=200 if ready else 503)


async def query(request: web.Request) -> web.Response:
    """`/query`: the statements with which clients make sure of their database before they write; nothing else."""
    statement = request.query.get("q")
    if statement is None and request.method == hdrs.METH_POST:
        form = await body.whole(request, most=_MAX_QUERY)
        statement = parse_qs(form.decode(errors="replace")).get("q", [""])[0]
    if _HARMLESS.fullmatch(statement or ""):
        return web.json_response({"results": [{"statement_id": 0}]})
    raise invalid("q", "Tidemark takes InfluxDB's writes, not its queries; ask /api/v1/series or the sensor API.")


async def _write(request: web.Request, version: Literal[1, 2]) -> web.Response:
    core = request.app[CORE]
    principal = await authentication.ingestion(core.access, request.headers)
    principal.require_all_units()
    try:
        unit = precision(request.query.get("precision", "ns"), version)
    except PrecisionError as error:
        raise invalid("precision", str(error)) from None
    pipeline = _pipeline(core, principal)
    try:
        await pipeline.run(decoded(LineProtocol(unit, clock), body.pieces(request)))
    except BodyError as error:
        taken = pipeline.outcome.accepted + pipeline.outcome.rejected
        raise invalid("body", _partial(pipeline.outcome, str(error)) if taken else str(error)) from None
    except TidemarkError as error:
        if pipeline.outcome.accepted:
            error.message = _partial(pipeline.outcome, error.message)
        raise
    if pipeline.outcome.rejected:
        first = pipeline.outcome.rejections[0]
        raise invalid("body", _partial(pipeline.outcome, f"line {first.index}: {first.field}: {first.message}"))
    return web.Response(status=204)


def _pipeline(core: Core, principal: Principal) -> Pipeline:
    return Pipeline(
        NamedSeries(core.access, core.database, principal.company_id),
        core.bulk_writer,
        partial(quota.spend, core.database, principal),
        streams=True,
    )


def _partial(outcome: Outcome, reason: str) -> str:
    return f"partial write: {reason} dropped={outcome.rejected}"
