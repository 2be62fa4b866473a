"""Rate limits of tokens: requests in fixed windows of a minute, counted in the database for all processes together."""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from aiohttp import web

from tidemark.base.errors import Kind, TidemarkError, unauthorized
from tidemark.catalog.principal import Principal
from tidemark.database.statements import statements
from tidemark.http import authentication
from tidemark.http.core import CORE
from tidemark.http.surface import Surface, surface_of

if TYPE_CHECKING:
    from datetime import datetime


@dataclass(frozen=True, slots=True)
class Allowance:
    """A token's limit, what remains of it in this minute, and when the minute ends."""

    limit: int
    remaining: int
    resets_at: "datetime"


_ALLOWANCE = web.RequestKey("allowance", Allowance)


async def limited(request: web.Request, scope: str) -> Principal:
    """The caller, who must have this scope; the request is counted if the token has a limit. Raises TidemarkError (429
    beyond the limit).

    Refused requests are counted too, and every response to a limited token states the allowance.
    """
    principal = await authentication.caller(request.app[CORE].access, request.headers, scope)
    await _count(request, principal)
    principal.require(scope)
    return principal


async def note(request: web.Request) -> None:
    """Count a request on a limited surface that no handler answers (404, 405). Raises TidemarkError like `limited`."""
    if not surface_of(request).limited:
        return
    try:
        principal = await authentication.bearer(request.app[CORE].access, request.headers)
    except TidemarkError as error:
        if error.kind is Kind.UNAUTHORIZED:
            return  # a path that does not exist needs no token
        raise
    await _count(request, principal)


async def _count(request: web.Request, principal: Principal) -> None:
    if principal.rate_limit is None:
        return  # an organization's key, or a token without a limit
    async with request.app[CORE].database.session() as connection:
        counted = await statements().count_request.row(connection, token_id=principal.token_id)
    if counted is None:
        raise unauthorized("The token is unknown or revoked.", "Authorization")
    left = principal.rate_limit - counted["requests"]
    request[_ALLOWANCE] = Allowance(principal.rate_limit, max(0, left), counted["resets_at"])
    if left < 0:
        wait = max(1, math.ceil((counted["resets_at"] - counted["counted_at"]).total_seconds()))
        raise TidemarkError(
            Kind.RATE_LIMIT_EXCEEDED,
            f"The token may send {principal.rate_limit} requests a minute; try again in {wait} s.",
            retry_after=wait,
        )


def add_headers(request: web.Request, response: web.StreamResponse, surface: Surface) -> None:
    """State the allowance, if the request was counted."""
    allowance = request.get(_ALLOWANCE)
    if allowance is not None:
        reset = int(allowance.resets_at.timestamp())
        response.headers["X-RateLimit-Limit"] = str(allowance.limit)
        response.headers["X-RateLimit-Remaining"] = str(allowance.remaining)
        response.headers["X-RateLimit-Reset"] = str(reset * 1000 if surface.reset_in_milliseconds else reset)
