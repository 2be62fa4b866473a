"""`POST /api/v1/collectd`: what collectd's plugin write_http sends with `Format "JSON"`."""

from functools import partial

from aiohttp import web

from tidemark.http import authentication
from tidemark.http.core import CORE
from tidemark.http.many_records import Format, format_of, take
from tidemark.readings import quota
from tidemark.readings.first_sight import NamedSeries
from tidemark.readings.http.parts import READINGS
from tidemark.readings.pipeline import ReadingPipeline
from tidemark.readings.wire.collectd import CollectdDecoder
from tidemark.readings.wire.piece import Piece

_FORMATS: dict[str, Format[Piece]] = {"application/json": Format(CollectdDecoder, streams=False)}


async def store(request: web.Request) -> web.Response:
    """200 if all values are stored, 207 if some are, 422 if none is."""
    core = request.app[CORE]
    principal = await authentication.ingestion(core.access, request.headers)
    principal.require_all_units()
    pipeline = ReadingPipeline(
        NamedSeries(core.directory, core.database, principal.company_id),
        partial(request.app[READINGS].appender.store_block, principal.company_id),
        partial(quota.spend, core.database, principal),
        streams=False,
    )
    return await take(request, format_of(request, _FORMATS), pipeline)
