"""`POST /api/v1/operations`: business operations of cold storage, as JSON or NDJSON."""

from aiohttp import web

from tidemark.coldchain.http.parts import OPERATIONS
from tidemark.coldchain.operation import OperationArray, OperationLines, Operations
from tidemark.coldchain.operation_writer import OperationPipeline
from tidemark.http import authentication
from tidemark.http.core import CORE
from tidemark.http.many_records import Format, format_of, take

_FORMATS: dict[str, Format[Operations]] = {
    "application/json": Format(OperationArray, streams=False),
    "application/x-ndjson": Format(OperationLines, streams=True),
}


async def store(request: web.Request) -> web.Response:
    """`POST`: 200 if all operations are stored, 207 if some are, 422 if none are."""
    core = request.app[CORE]
    principal = await authentication.ingestion(core.access, request.headers)
    form = format_of(request, _FORMATS)
    pipeline = OperationPipeline(core.database, principal, request.app[OPERATIONS], streams=form.streams)
    return await take(request, form, pipeline)
