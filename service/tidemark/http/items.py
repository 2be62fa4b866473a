"""Responses with items: a page of them and `meta`, as JSON or CSV, cached for a moment; or all of them as CSV,
streamed.
"""

import csv
import io
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any

import orjson
from aiohttp import hdrs, web

from tidemark.catalog.principal import Principal
from tidemark.http.answer import VARY, Answer, cached
from tidemark.http.core import CORE
from tidemark.http.paging import PAGING, Page, envelope
from tidemark.http.streaming import stream

JSON = "application/json"
CSV = "text/csv"
_IDS = frozenset(("cooling_unit_id", "location_id", "asset_id", "max_points"))
"""Parameters that are whole numbers."""

Row = Sequence[Any]
"""The values of an item, in the order of the columns."""


@dataclass(frozen=True, slots=True)
class Items:
    """The items of a page, how many there are on all pages, and further fields of `meta`."""

    columns: Sequence[str]
    rows: Iterable[Row]
    total: int
    meta: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Table:
    """All items in pieces, how many there are (None if unknown), and further fields of `meta`."""

    columns: Sequence[str]
    pieces: AsyncGenerator[Sequence[Row], None]
    total: int | None
    meta: Mapping[str, Any] = field(default_factory=dict)


async def answer(
    request: web.Request,
    principal: Principal,
    page: Page,
    find: Callable[[], Awaitable[Items]],
    *,
    as_csv: bool = False,
) -> web.Response:
    """The response with the items that `find` returns, or returned a moment ago for a token that may see the same.

    Raises TidemarkError.
    """

    async def make() -> Answer:
        asked_at = time.monotonic()
        found = await find()
        if as_csv:
            body = _csv([found.columns, *found.rows])
            return Answer(body, CSV, asked_at, _headers(found.total, found.meta))
        document = page_of(principal, page, found, filters(request.query))
        return Answer(orjson.dumps(document), JSON, asked_at)

    key = (principal.company_id, principal.cooling_unit_ids, request.path.rstrip("/"), request.query_string, as_csv)
    return await cached(request, request.app[CORE].cache, key, make)


async def stream_csv(request: web.Request, table: Table) -> web.StreamResponse:
    """Respond with a whole table, which is not cached. Raises what the first piece raises."""

    async def text() -> AsyncGenerator[bytes, None]:
        head: list[Row] = [table.columns]
        async with aclosing(table.pieces) as pieces:
            async for rows in pieces:
                yield _csv([*head, *rows])
                head = []
        yield _csv(head)

    headers = {
        hdrs.CONTENT_TYPE: f"{CSV}; charset=utf-8",
        hdrs.CACHE_CONTROL: "no-store",
        hdrs.VARY: VARY,
        **_headers(table.total, table.meta),
    }
    return await stream(request, headers, text())


def page_of(principal: Principal, page: Page, found: Items, asked: Mapping[str, Any]) -> dict[str, Any]:
    """The document of a page; `asked` are the filters that it repeats."""
    return {
        "data": [dict(zip(found.columns, row, strict=True)) for row in found.rows],
        "meta": {
            "company_id": principal.company_id,
            "filters": asked,
            **found.meta,
            "pagination": envelope(page, found.total),
        },
    }


def filters(query: Mapping[str, str]) -> dict[str, str | int]:
    """The filters that were sent: whole numbers as numbers, everything else as it was sent."""
    return {name: int(value) if name in _IDS else value for name, value in query.items() if name not in PAGING}


def _headers(total: int | None, meta: Mapping[str, Any]) -> dict[str, str]:
    headers = {f"X-{name.capitalize()}": str(value) for name, value in meta.items()}
    return headers if total is None else {"X-Total-Count": str(total), **headers}


def _csv(rows: Iterable[Row]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\r\n").writerows(rows)
    return text.getvalue().encode()


def wants_csv(request: web.Request) -> bool:
    """Whether the client prefers CSV; otherwise, whatever it accepts, the response is JSON."""
    accept = request.headers.get(hdrs.ACCEPT, "")
    weights: dict[str, float] = {}
    for part in accept.lower().split(","):
        media_type, *parameters = (piece.strip() for piece in part.split(";"))
        weight = next((parameter[2:] for parameter in parameters if parameter.startswith("q=")), "1")
        try:
            weights[media_type] = float(weight)
        except ValueError:
            weights[media_type] = 0.0
    others = max(weights.get(name, 0.0) for name in (JSON, "application/*", "*/*"))
    named_json = weights.get(JSON, 0.0)
    return weights.get(CSV, 0.0) > named_json and weights.get(CSV, 0.0) >= others
