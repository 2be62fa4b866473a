"""`POST /api/v1/operations`: business operations of cold storage, as JSON or NDJSON."""

from collections.abc import Callable

from aiohttp import hdrs, web

from service.api import authentication, body
from service.api.core import CORE
from service.api.ingestion import outcome
from service.errors import Kind, TidemarkError
from service.ingest.decode.operations import OperationArray, OperationLines, Operations
from service.ingest.decode.records import Clock
from service.ingest.operations import OperationPipeline
from service.ingest.pipeline import Decoder, decoded
from service.ingest.values import clock

# Media types, their decoders, and whether they stream.
_FORMATS: dict[str, tuple[Callable[[Clock], Decoder[Operations]], bool]] = {
    "application/json": (OperationArray, False),
    "application/x-ndjson": (OperationLines, True),
}


async def store(request: web.Request) -> web.Response:
    """`POST`: 200 where all operations are stored, 207 where some, 422 where none."""
    core = request.app[CORE]
    principal = await authentication.ingestion(core.access, request.headers)
    media_type = request.headers.get(hdrs.CONTENT_TYPE, "application/json").partition(";")[0].strip().lower()
    if media_type not in _FORMATS:
        raise TidemarkError(
            Kind.UNSUPPORTED_MEDIA_TYPE, f"Send operations as {' or '.join(_FORMATS)}.", field=hdrs.CONTENT_TYPE
        )
    decoder, streams = _FORMATS[media_type]
    pipeline = OperationPipeline(core.database, principal, core.operation_writer, streams=streams)
    if streams:
        return await outcome.taken(pipeline, decoded(decoder(clock), body.pieces(request)))
    async with body.held(request) as pieces:
        return await outcome.taken(pipeline, decoded(decoder(clock), pieces))
