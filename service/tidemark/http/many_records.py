"""Bodies with many records: their format is determined, their records are stored, and the response has the counts.

200 if all records are stored, 207 if some are, 422 if none is.
"""

from collections.abc import AsyncGenerator, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic

import orjson
from aiohttp import hdrs, web

from tidemark.base.errors import Kind, TidemarkError, invalid
from tidemark.base.values import Clock, clock
from tidemark.bodies.outcome import BodyError, Outcome
from tidemark.bodies.pipeline import BodyPipeline, Decoder, Piece, decoded
from tidemark.http import body


@dataclass(frozen=True)
class Format(Generic[Piece]):
    """A wire format."""

    decoder: Callable[[Clock], Decoder[Piece]]
    streams: bool
    """Whether records are stored as they arrive; otherwise the body is held until it is complete."""


def format_of(request: web.Request, formats: Mapping[str, Format[Piece]]) -> Format[Piece]:
    """The format that `Content-Type` names, by default JSON; `formats` are by media type. Raises TidemarkError."""
    media_type = request.headers.get(hdrs.CONTENT_TYPE, "application/json").partition(";")[0].strip().lower()
    if media_type not in formats:
        raise TidemarkError(
            Kind.UNSUPPORTED_MEDIA_TYPE, f"Send the body as {' or '.join(formats)}.", field=hdrs.CONTENT_TYPE
        )
    return formats[media_type]


async def take(request: web.Request, form: Format[Piece], pipeline: BodyPipeline[Piece, Any]) -> web.Response:
    """Process a body to its end; the response has the counts. Raises TidemarkError if nothing came of it."""
    if form.streams:
        return await _taken(pipeline, decoded(form.decoder(clock), body.pieces(request)))
    async with body.held(request) as pieces:
        return await _taken(pipeline, decoded(form.decoder(clock), pieces))


async def _taken(pipeline: BodyPipeline[Piece, Any], pieces: AsyncGenerator[Piece, None]) -> web.Response:
    try:
        await pipeline.run(pieces)
    except BodyError as error:
        if pipeline.outcome.accepted + pipeline.outcome.rejected == 0:
            raise invalid("body", str(error)) from None
        return _answer(pipeline.outcome, ended=str(error))
    except TidemarkError as error:
        if pipeline.outcome.accepted == 0:
            raise
        return _answer(pipeline.outcome, ended=error.message, status=error.kind.status.value, retry=error.retry_after)
    return _answer(pipeline.outcome)


def _answer(
    outcome: Outcome, *, ended: str | None = None, status: int | None = None, retry: int | None = None
) -> web.Response:
    """The response with the counts and, if processing ended early, with the reason (`ended`) and its status."""
    document = outcome.document()
    if status is None:
        failed = outcome.rejected > 0 or ended is not None
        status = 200 if not failed else 207 if outcome.accepted else 422
    if ended is not None:
        document["ended"] = ended
    headers = {} if retry is None else {hdrs.RETRY_AFTER: str(retry)}
    return web.Response(
        status=status, body=orjson.dumps(document), content_type="application/json", charset="utf-8", headers=headers
    )
