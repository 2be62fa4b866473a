"""Answers of the cold-chain API: pages of items with their `meta`, as JSON or CSV, cached for a moment."""

import csv
import io
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson
from aiohttp import hdrs, web

from service.access import Principal
from service.api.answer import Answer, cached
from service.api.core import CORE
from service.api.platform.paging import Page, envelope

JSON = "application/json"
CSV = "text/csv"
_IDS = frozenset(("cooling_unit_id", "location_id", "asset_id", "max_points"))
"""Parameters that are whole numbers."""


@dataclass(frozen=True, slots=True)
class Items:
    """The items of a page, how many there are on all pages, and what else `meta` says."""

    items: Sequence[Mapping[str, Any]]
    total: int
    meta: Mapping[str, Any] = field(default_factory=dict)


async def answer(
    request: web.Request,
    principal: Principal,
    page: Page,
    find: Callable[[], Awaitable[Items]],
    columns: Sequence[str] | None = None,
) -> web.Response:
    """Answer with the items that `find` finds, or found a moment ago for a token that may see the same.

    With `columns` an `Accept: text/csv` is followed. Raises TidemarkError.
    """
    as_csv = columns is not None and _prefers_csv(request.headers.get(hdrs.ACCEPT, ""))

    async def make() -> Answer:
        asked_at = time.monotonic()
        found = await find()
        if as_csv and columns is not None:
            told = {f"X-{name.capitalize()}": str(value) for name, value in found.meta.items()}
            return Answer(_csv(found, columns), CSV, asked_at, {"X-Total-Count": str(found.total), **told})
        document = {
            "data": found.items,
            "meta": {
                "company_id": principal.company_id,
                "filters": filters(request.query),
                **found.meta,
                "pagination": envelope(page, found.total),
            },
        }
        return Answer(orjson.dumps(document), JSON, asked_at)

    key = (principal.company_id, principal.cooling_unit_ids, request.path.rstrip("/"), request.query_string, as_csv)
    return await cached(request, request.app[CORE].cache, key, make)


def filters(query: Mapping[str, str]) -> dict[str, str | int]:
    """The filters that were sent, as they were sent but for whole numbers."""
    return {
        name: int(value) if name in _IDS else value
        for name, value in query.items()
        if name not in ("page", "page_size")
    }


def _csv(found: Items, columns: Sequence[str]) -> bytes:
    text = io.StringIO()
    table = csv.DictWriter(text, columns, restval="", lineterminator="\r\n")
    table.writeheader()
    table.writerows(found.items)
    return text.getvalue().encode()


def _prefers_csv(accept: str) -> bool:
    """Whether CSV is wanted rather than JSON, which is the answer to everything else."""
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
