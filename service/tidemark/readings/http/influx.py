"""Writes from InfluxDB's clients and Telegraf: line protocol on the endpoints of InfluxDB's three versions."""

import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from datetime import UTC, datetime
from functools import partial
from typing import Any, Literal

import numpy as np
import structlog
from aiohttp import web

from tidemark.base.errors import TidemarkError, invalid
from tidemark.base.values import clock
from tidemark.bodies.outcome import BodyError, Outcome, Rejection
from tidemark.bodies.pipeline import decoded
from tidemark.catalog.principal import Principal
from tidemark.http import authentication, body
from tidemark.http.core import CORE
from tidemark.http.parameters import Parameters
from tidemark.readings import quota
from tidemark.readings.first_sight import NO_ROOM, NamedSeries
from tidemark.readings.http.parts import READINGS
from tidemark.readings.pipeline import ReadingPipeline, Spend, Store
from tidemark.readings.wire.line_protocol import LineProtocol, PrecisionError, precision
from tidemark.readings.wire.piece import Piece

log = structlog.get_logger(__name__)

HINT_SECONDS = 60
"""Minimum time between two warnings about an organization's timestamps in 1970."""
_MAX_HINTED = 10_000
_END_OF_1970 = int(datetime(1971, 1, 1, tzinfo=UTC).timestamp()) * 1_000_000
_BOOLEANS = {"true": True, "false": False}


async def write_v1(request: web.Request) -> web.Response:
    """`POST /write`: line protocol as InfluxDB 1 accepts it."""
    return await _write(request, 1)


async def write_v2(request: web.Request) -> web.Response:
    """`POST /api/v2/write`: line protocol as InfluxDB 2 accepts it."""
    return await _write(request, 2)


async def write_v3(request: web.Request) -> web.Response:
    """`POST /api/v3/write_lp`: line protocol as InfluxDB 3 accepts it; `accept_partial=false` for all lines or none."""
    principal = await _sender(request)
    parameters = Parameters.first_of_each(request, "precision", "no_sync", "accept_partial")
    unit = _unit(parameters, 3, "auto")
    if _flag(parameters, "no_sync", default=False):
        raise invalid("no_sync", "Every acknowledged write is durable here; leave no_sync out.")
    may_be_partial = _flag(parameters, "accept_partial", default=True)
    outcome = await _take(request, principal, LineProtocol(unit, clock), whole=not may_be_partial)
    if not outcome.rejected:
        return web.Response(status=204)
    lines = [
        {
            "original_line": one.original,
            "line_number": one.index + 1,
            "error_message": f"{one.field}: {one.message}",
        }
        for one in outcome.rejections
    ]
    document: dict[str, Any] = (
        {"error": "partial write of line protocol occurred", "data": lines}
        if may_be_partial
        else {"error": "parsing failed for write_lp endpoint", "data": lines[0]}
    )
    return web.json_response(document, status=400)


async def _write(request: web.Request, version: Literal[1, 2]) -> web.Response:
    principal = await _sender(request)
    unit = _unit(Parameters.first_of_each(request, "precision"), version, "ns")
    outcome = await _take(request, principal, LineProtocol(unit, clock))
    if outcome.rejected:
        first = outcome.rejections[0]
        raise invalid("body", _partial(outcome, f"line {first.index + 1}: {first.field}: {first.message}"))
    return web.Response(status=204)


async def _sender(request: web.Request) -> Principal:
    principal = await authentication.ingestion(request.app[CORE].access, request.headers)
    principal.require_all_units()
    return principal


def _unit(parameters: Parameters, version: Literal[1, 2, 3], default: str) -> int:
    try:
        return precision(parameters.get("precision", default), version)
    except PrecisionError as error:
        raise invalid("precision", str(error)) from None


def _flag(parameters: Parameters, name: str, *, default: bool) -> bool:
    given = parameters.get(name)
    if given is not None and given not in _BOOLEANS:
        raise invalid(name, f"{name} must be true or false.")
    return default if given is None else _BOOLEANS[given]


async def _take(request: web.Request, principal: Principal, decoder: LineProtocol, *, whole: bool = False) -> Outcome:
    """Store the lines of a body: every valid one, as it arrives; or with `whole`, all of them or none.

    Raises TidemarkError if the body is not processed to its end.
    """
    pipeline = _pipeline(request, principal, whole=whole)
    try:
        if whole:
            async with body.held(request) as pieces:
                await pipeline.run(decoded(decoder, pieces))
        else:
            await pipeline.run(_watched(request, principal, decoded(decoder, body.pieces(request))))
    except BodyError as error:
        processed = pipeline.outcome.accepted + pipeline.outcome.rejected
        raise invalid("body", _partial(pipeline.outcome, str(error)) if processed else str(error)) from None
    except TidemarkError as error:
        if pipeline.outcome.accepted:
            error.message = _partial(pipeline.outcome, error.message)
        raise
    return pipeline.outcome


class _Whole(ReadingPipeline):
    """Lines that are stored together or not at all; if they are not, no sensors are created either."""

    def __init__(self, series: NamedSeries, store: Store, spend: Spend) -> None:
        super().__init__(series, store, spend, streams=False)
        self._series = series

    async def run(self, pieces: AsyncGenerator[Piece, None]) -> Outcome:
        """See ReadingPipeline.run; nothing is read after an invalid line."""
        held = []
        async with aclosing(pieces):
            async for piece in pieces:
                self.outcome.note(piece.rejections, piece.rejected)
                if self.outcome.rejected:
                    return self.outcome
                held.append(piece)
        names = list(dict.fromkeys(name for piece in held for name in piece.names))
        if refused := await self._series.without_room(names):
            return self._refused(held, refused)
        await self._spend(sum(map(len, held)), together=True)
        if refused := await self._series.make_all(names):  # others have used the room in the meantime
            return self._refused(held, refused)
        return await super().run(_each(held))

    def _refused(self, held: list[Piece], names: list[str]) -> Outcome:
        """The outcome if there is no room for some new series: the first line of one is rejected."""
        unwanted = set(names)
        for piece in held:
            series = [number for number, name in enumerate(piece.names) if name in unwanted]
            if series:
                first = int(piece.index[np.isin(piece.sensor, series).argmax()])
                self.outcome.note([Rejection(first, "sensor", NO_ROOM)], 1)
                break
        return self.outcome

    async def _allow_all(self, records: int) -> None:
        """The quota is already spent; but a sensor may have been deleted meanwhile, with no room to recreate it."""
        for _, result in self._waiting:
            self.outcome.note(result.rejections, result.rejected)
        if self.outcome.rejected:
            self._waiting = []


async def _each(pieces: list[Piece]) -> AsyncGenerator[Piece, None]:
    for piece in pieces:
        yield piece


def _pipeline(request: web.Request, principal: Principal, *, whole: bool) -> ReadingPipeline:
    core = request.app[CORE]
    series = NamedSeries(core.directory, core.database, principal.company_id)
    store = partial(request.app[READINGS].appender.store_block, principal.company_id)
    spend = partial(quota.spend, core.database, principal)
    return _Whole(series, store, spend) if whole else ReadingPipeline(series, store, spend, streams=True)


def _partial(outcome: Outcome, reason: str) -> str:
    return f"partial write: {reason} dropped={outcome.rejected}"


async def _watched(
    request: web.Request, principal: Principal, pieces: AsyncGenerator[Piece, None]
) -> AsyncGenerator[Piece, None]:
    """The pieces, unchanged. Logs a warning if timestamps fall in 1970 because the sender gives no precision."""
    async with aclosing(pieces):
        async for piece in pieces:
            if len(piece) and "precision" not in request.query and piece.at.min() < _END_OF_1970:
                _hint(request.path, principal.company_id)
            yield piece


_hinted: dict[int, float] = {}
"""The monotonic time of the last warning about each organization."""


def _hint(path: str, company_id: int) -> None:
    now = time.monotonic()
    if now - _hinted.get(company_id, -HINT_SECONDS) < HINT_SECONDS:
        return
    if len(_hinted) >= _MAX_HINTED:
        _hinted.clear()
    _hinted[company_id] = now
    log.warning(
        "line protocol has timestamps in 1970: without a precision they count nanoseconds; if the sender counts "
        "seconds, milliseconds or microseconds, have it send precision=s, ms or us",
        path=path,
        company_id=company_id,
    )
