"""How bodies with many records are answered: 200 where all are stored, 207 where some, 422 where none."""

from collections.abc import AsyncIterator
from typing import Any

import orjson
from aiohttp import hdrs, web

from service.errors import TidemarkError, invalid
from service.ingest.columns import BodyError
from service.ingest.pipeline import BodyPipeline, Outcome, Piece


async def taken(pipeline: BodyPipeline[Piece, Any], pieces: AsyncIterator[Piece]) -> web.Response:
    """Take a body to its end and answer what became of it. Raises TidemarkError where nothing did."""
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
    """The counts; where the body was not taken to its end, also why, under the status of that."""
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
