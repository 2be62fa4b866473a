"""The collector: what pages send, public and from any origin, and the script that makes them do so."""

import hashlib
import random
import time
from pathlib import Path

from aiohttp import hdrs, web

from tidemark.base.errors import Kind, TidemarkError, forbidden
from tidemark.catalog.directory import Site
from tidemark.http import body
from tidemark.http.client_address import client_address
from tidemark.http.core import CORE
from tidemark.web.http.parts import WEB
from tidemark.web.record import MAX_BODY, Sent, check_place, decode_sent, external_referrer
from tidemark.web.user_agents import browser, is_bot
from tidemark.web.visitors import site_day, visitor_of
from tidemark.web.writer import MINUTE, WebRecord

SCRIPT = Path(__file__).with_name("collect.js").read_bytes()
SCRIPT_SECONDS = 3600
"""How long browsers keep the script."""
PREFLIGHT_SECONDS = 86400
_SCRIPT_TAG = hashlib.blake2b(SCRIPT, digest_size=16).hexdigest()
_CONTENT_TYPES = ("text/plain", "application/json")


async def collect(request: web.Request) -> web.Response:
    """204 once what the page sent is committed; for known bots, 204 alone. Past a limit of the minute 429."""
    core = request.app[CORE]
    if request.content_type not in _CONTENT_TYPES and hdrs.CONTENT_TYPE in request.headers:
        raise TidemarkError(
            Kind.UNSUPPORTED_MEDIA_TYPE,
            f"Send the body as {' or '.join(_CONTENT_TYPES)}.",
            field=hdrs.CONTENT_TYPE,
        )
    sent = decode_sent(await body.whole(request, most=MAX_BODY))
    site = await core.directory.site(sent.site_id)
    if site is None or not site.is_active:
        raise _no_site()
    check_place(sent, request.headers.get(hdrs.ORIGIN), site.domain)
    if not is_bot(request.headers.get(hdrs.USER_AGENT, "")):
        await request.app[WEB].writer.store(await _record(request, site, sent))
    return web.Response(status=204)


async def preflight(_request: web.Request) -> web.Response:
    """What browsers ask before they send JSON as JSON."""
    headers = {
        hdrs.ACCESS_CONTROL_ALLOW_METHODS: hdrs.METH_POST,
        hdrs.ACCESS_CONTROL_ALLOW_HEADERS: hdrs.CONTENT_TYPE,
        hdrs.ACCESS_CONTROL_MAX_AGE: str(PREFLIGHT_SECONDS),
        hdrs.ALLOW: f"{hdrs.METH_OPTIONS}, {hdrs.METH_POST}",
    }
    return web.Response(status=204, headers=headers)


async def script(request: web.Request) -> web.Response:
    """The script that pages include."""
    headers = {
        "ETag": f'"{_SCRIPT_TAG}"',
        "Cache-Control": f"public, max-age={SCRIPT_SECONDS}",
        "Access-Control-Allow-Origin": "*",
        "Cross-Origin-Resource-Policy": "cross-origin",
    }
    if any(tag.value in (_SCRIPT_TAG, "*") for tag in request.if_none_match or ()):
        return web.Response(status=304, headers=headers)
    return web.Response(body=SCRIPT, content_type="text/javascript", charset="utf-8", headers=headers)


async def _record(request: web.Request, site: Site, sent: Sent) -> WebRecord:
    parts = request.app[WEB]
    # Address and user agent end here: what is stored is their hash under a key that is destroyed.
    address = client_address(
        request.remote, request.headers.getall("X-Forwarded-For", ()), request.app[CORE].settings.trusted_proxies
    )
    user_agent = request.headers.get(hdrs.USER_AGENT, "")
    at = time.time_ns() // 1000
    day = site_day(at, site.zone)
    key = await parts.visitors.key(site, day)
    if key is None:
        raise _no_site()
    viewed = sent.kind == "pageview"
    return WebRecord(
        site.site_number,
        at,
        random.getrandbits(63),
        day,
        visitor_of(key, site.id, address, user_agent),
        sent.kind,
        sent.pathname,
        sent.name,
        external_referrer(sent, site.domain) if viewed else None,
        browser(user_agent) if viewed else None,
        parts.countries.country(address) if viewed else None,
        await parts.addresses.counted_as(address, at // MINUTE),
    )


def _no_site() -> TidemarkError:
    return forbidden("There is no such site, or it is not active.", "site")
