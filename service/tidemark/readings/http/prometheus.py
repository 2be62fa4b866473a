"""`POST /api/v1/write`: Prometheus remote write, 1.0 and 2.0."""

from functools import partial

from aiohttp import hdrs, web

from tidemark.base.errors import Kind, TidemarkError, invalid, unavailable
from tidemark.base.values import clock
from tidemark.bodies.outcome import BodyError, BodyTooLongError, Outcome
from tidemark.bodies.pipeline import decoded
from tidemark.http import authentication, body
from tidemark.http.core import CORE, Core
from tidemark.http.surface import surface_of
from tidemark.readings import quota
from tidemark.readings.first_sight import NamedSeries
from tidemark.readings.http.parts import READINGS
from tidemark.readings.pipeline import ReadingPipeline
from tidemark.readings.wire.remote_write import RemoteWrite, RemoteWrite2

_MEDIA_TYPE = "application/x-protobuf"
_UNTYPED = "application/octet-stream"
"""The media type that HTTP libraries send for bytes without a known type."""
_DECODERS: dict[str, type[RemoteWrite | RemoteWrite2]] = {
    "prometheus.WriteRequest": RemoteWrite,
    "io.prometheus.write.v2.Request": RemoteWrite2,
}


async def write(request: web.Request) -> web.Response:
    """204 if all samples are stored; samples that a sender may send but that are not readings are skipped.

    Whatever the result, the headers of the response state how much was stored.
    """
    core = request.app[CORE]
    principal = await authentication.ingestion(core.access, request.headers)
    principal.require_all_units()
    decoder = _decoder(request)
    pipeline = ReadingPipeline(
        NamedSeries(core.directory, core.database, principal.company_id),
        partial(request.app[READINGS].appender.store_block, principal.company_id),
        partial(quota.spend, core.database, principal),
        streams=False,
    )
    try:
        await _take(request, core, decoder, pipeline)
    except TidemarkError as error:
        status, headers, document = surface_of(request).render(error)
        return web.Response(status=status, headers={**headers, **_written(pipeline.outcome)}, body=document)
    return web.Response(status=204, headers=_written(pipeline.outcome))


def _decoder(request: web.Request) -> type[RemoteWrite | RemoteWrite2]:
    """The decoder of the message that the headers name. Raises TidemarkError."""
    encoding = request.headers.get(hdrs.CONTENT_ENCODING, "snappy").strip().lower()
    if encoding != "snappy":
        raise TidemarkError(
            Kind.UNSUPPORTED_MEDIA_TYPE, "Compress remote write with snappy.", field=hdrs.CONTENT_ENCODING
        )
    media_type, *parameters = request.headers.get(hdrs.CONTENT_TYPE, _MEDIA_TYPE).split(";")
    pairs = {name.strip().lower(): value.strip(' "') for name, _, value in (one.partition("=") for one in parameters)}
    message = pairs.get("proto", "prometheus.WriteRequest")
    if media_type.strip().lower() not in (_MEDIA_TYPE, _UNTYPED) or message not in _DECODERS:
        raise TidemarkError(
            Kind.UNSUPPORTED_MEDIA_TYPE,
            f"Send {_MEDIA_TYPE} with the message {' or '.join(_DECODERS)} as proto.",
            field=hdrs.CONTENT_TYPE,
        )
    return _DECODERS[message]


async def _take(
    request: web.Request, core: Core, decoder: type[RemoteWrite | RemoteWrite2], pipeline: ReadingPipeline
) -> None:
    """Process a body to its end. Raises TidemarkError unless all of it is stored."""
    try:
        # The decoder refuses larger bodies, before and after decompression.
        async with body.held(request, compressed=True) as pieces:
            await pipeline.run(decoded(decoder(core.settings.max_body, clock), pieces))
    except BodyTooLongError as error:
        raise TidemarkError(Kind.TOO_LARGE, str(error)) from None
    except BodyError as error:
        raise invalid("body", str(error)) from None
    except TidemarkError as error:
        if error.kind in (Kind.RATE_LIMIT_EXCEEDED, Kind.TOO_SLOW):
            # Senders are only certain to retry after a 5xx.
            raise unavailable(error.message, error.retry_after or 1) from None
        raise
    if pipeline.outcome.rejected:
        first = pipeline.outcome.rejections[0]
        raise invalid(
            "body", f"{pipeline.outcome.rejected} samples were rejected; the first: {first.field}: {first.message}"
        )


def _written(outcome: Outcome) -> dict[str, str]:
    """The headers that version 2.0 requires; senders of 1.0 ignore them."""
    kinds = {"Samples": outcome.accepted, "Histograms": 0, "Exemplars": 0}
    return {f"X-Prometheus-Remote-Write-{kind}-Written": str(count) for kind, count in kinds.items()}
