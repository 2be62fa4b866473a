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
"""What HTTP libraries send of bytes that nobody gave a type."""
_DECODERS: dict[str, type[RemoteWrite | RemoteWrite2]] = {
    "prometheus.WriteRequest": RemoteWrite,
    "io.prometheus.write.v2.Request": RemoteWrite2,
}


async def write(request: web.Request) -> web.Response:
    """204 where all samples are stored; those that a sender may send but that are no readings are skipped.

    Whatever becomes of a body that is understood, headers tell how much of it is stored.
    """
    core = request.app[CORE]
    principal = await authentication.ingestion(core.access, request.headers)
    principal.require_all_units()
    decoder = _decoder(request)
    pipeline = ReadingPipeline(
        NamedSeries(core.directory, core.database, principal.company_id),
        request.app[READINGS].bulk_writer,
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
            Kind.UNSUPPORTED_MEDIA_TYPE, "Remote write is compressed with snappy.", field=hdrs.CONTENT_ENCODING
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
    """Take a body to its end. Raises TidemarkError where not all of it is stored."""
    try:
        # Larger bodies than this are refused by the decoder, compressed or not.
        async with body.held(request, compressed=True) as pieces:
            await pipeline.run(decoded(decoder(core.settings.max_body, clock), pieces))
    except BodyTooLongError as error:
        raise TidemarkError(Kind.TOO_LARGE, str(error)) from None
    except BodyError as error:
        raise invalid("body", str(error)) from None
    except TidemarkError as error:
        if error.kind in (Kind.RATE_LIMIT_EXCEEDED, Kind.TOO_SLOW):
            # A sender surely tries again what is answered by 5xx alone.
            raise unavailable(error.message, error.retry_after or 1) from None
        raise
    if pipeline.outcome.rejected:
        first = pipeline.outcome.rejections[0]
        raise invalid(
            "body", f"{pipeline.outcome.rejected} samples are refused; the first: {first.field}: {first.message}"
        )


def _written(outcome: Outcome) -> dict[str, str]:
    """What 2.0 wants to be told; a sender of 1.0 does not look."""
    kinds = {"Samples": outcome.accepted, "Histograms": 0, "Exemplars": 0}
    return {f"X-Prometheus-Remote-Write-{kind}-Written": str(count) for kind, count in kinds.items()}
