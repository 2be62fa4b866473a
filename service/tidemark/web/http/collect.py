"""The public collector, which accepts what pages of any origin send, and the script that pages include."""

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
from tidemark.web.record import MAX_BODY, Sent, check_domain, decode_sent, external_referrer
from tidemark.web.user_agents import browser, is_bot
from tidemark.web.visitors import site_day, visitor_of
from tidemark.web.writer import MINUTE, WebRecord

SCRIPT = Path(__file__).with_name("collect.js").read_bytes()
SCRIPT_SECONDS = 3600
"""How long browsers cache the script."""
PREFLIGHT_SECONDS = 86400
_SCRIPT_TAG = hashlib.blake2b(SCRIPT, digest_size=16).hexdigest()
_CONTENT_TYPES = ("text/plain", "application/json")


async def collect(request: web.Request) -> web.Response:
    """Respond with 204 once the record has been committed, and to known bots right away. Raises TidemarkError: 429 if
    a limit per minute is reached.
    """
    core = request.app[CORE]
    if request.content_type not in _CONTENT_TYPES and hdrs.CONTENT_TYPE in request.headers:
        raise TidemarkError(
            Kind.UNSUPPORTED_MEDIA_TYPE,
            f"Send the body as {' or '.join(_CONTENT_TYPES)}.",
            field=hdrs.CONTENT_TYPE,
        )
    sent = decode_sent(await body.whole(request, max_bytes=MAX_BODY))
    site = await core.directory.site(sent.site_id)
    if site is None or not site.is_active:
        raise _no_site()
    check_domain(sent, request.headers.get(hdrs.ORIGIN), site.domain)
    if not is_bot(request.headers.get(hdrs.USER_AGENT, "")):
        await request.app[WEB].writer.store(await _record(request, site, sent))
    return web.Response(status=204)


async def preflight(_request: web.Request) -> web.Response:
    """Respond to the request that browsers send before `application/json`."""
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
    # Address and user agent go no further: only their hash is stored, under a key that will be destroyed.
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
    return forbidden("This site does not exist or is inactive.", "site")
