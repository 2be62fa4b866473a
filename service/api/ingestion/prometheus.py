"""`POST /api/v1/write`: Prometheus remote write 1.0."""

from functools import partial

from aiohttp import hdrs, web

from service.api import authentication, body
from service.api.core import CORE
from service.catalog.first_sight import NamedSeries
from service.errors import Kind, TidemarkError, invalid, unavailable
from service.ingest import quota
from service.ingest.columns import BodyError, BodyTooLongError
from service.ingest.decode.remote_write import RemoteWrite
from service.ingest.pipeline import Pipeline, decoded
from service.ingest.values import clock


async def write(request: web.Request) -> web.Response:
    """204 where all samples are stored; those that a sender may send but that are no readings are skipped.

    A sender tries again what is answered by 5xx alone, so an organization over its limit gets 503.
    """
    core = request.app[CORE]
    principal = await authentication.ingestion(core.access, request.headers)
    principal.require_all_units()
    encoding = request.headers.get(hdrs.CONTENT_ENCODING, "snappy").strip().lower()
    if encoding != "snappy":
        raise TidemarkError(
            Kind.UNSUPPORTED_MEDIA_TYPE, "Remote write is compressed with snappy.", field=hdrs.CONTENT_ENCODING
        )
    if "io.prometheus.write.v2" in request.headers.get(hdrs.CONTENT_TYPE, ""):
        raise TidemarkError(
            Kind.UNSUPPORTED_MEDIA_TYPE,
            "Remote write 1.0 is taken here; set protobuf_message to prometheus.WriteRequest.",
            field=hdrs.CONTENT_TYPE,
        )
    pipeline = Pipeline(
        NamedSeries(core.access, core.database, principal.company_id),
        core.bulk_writer,
        partial(quota.spend, core.database, principal),
        streams=False,
    )
    try:
        # Larger bodies than this are refused by the decoder, compressed or not.
        async with body.held(request, compressed=True) as pieces:
            await pipeline.run(decoded(RemoteWrite(core.settings.max_body, clock), pieces))
    except BodyTooLongError as error:
        raise TidemarkError(Kind.TOO_LARGE, str(error)) from None
    except BodyError as error:
        raise invalid("body", str(error)) from None
    except TidemarkError as error:
        if error.kind is Kind.RATE_LIMIT_EXCEEDED:
            raise unavailable(error.message, error.retry_after or 1) from None
        raise
    if pipeline.outcome.rejected:
        first = pipeline.outcome.rejections[0]
        raise invalid(
            "body", f"{pipeline.outcome.rejected} samples are refused; the first: {first.field}: {first.message}"
        )
    return web.Response(status=204)
