"""`POST /api/v1/collectd`: what collectd's plugin write_http sends with `Format "JSON"`."""

from functools import partial

from aiohttp import web

from service.api import authentication
from service.api.core import CORE
from service.api.ingestion.many_records import Format, format_of, take
from service.catalog.first_sight import NamedSeries
from service.ingest import quota
from service.ingest.columns import Columns
from service.ingest.decode.collectd import CollectdDecoder
from service.ingest.pipeline import Pipeline

_FORMATS: dict[str, Format[Columns]] = {"application/json": Format(CollectdDecoder, streams=False)}


async def store(request: web.Request) -> web.Response:
    """200 where all values are stored, 207 where some, 422 where none."""
    core = request.app[CORE]
    principal = await authentication.ingestion(core.access, request.headers)
    principal.require_all_units()
    pipeline = Pipeline(
        NamedSeries(core.access, core.database, principal.company_id),
        core.bulk_writer,
        partial(quota.spend, core.database, principal),
        streams=False,
    )
    return await take(request, format_of(request, _FORMATS), pipeline)
