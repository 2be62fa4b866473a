"""A real Chromium visits a small website that includes the script; the five endpoints show what it did."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import asyncpg
import pytest
from aiohttp import web

from tests.conftest import Tenant, free_port
from tests.web.chromium import PROGRAM, chromium
from tests.web.test_collect import CHROME, FIREFOX, make_site, read

pytestmark = pytest.mark.skipif(PROGRAM is None, reason="Chromium is not installed; collect.js was NOT TESTED")

PAGE = """<!doctype html><title>{path}</title>
<script>window.tidemark = window.tidemark || function () {{ (tidemark.q = tidemark.q || []).push(arguments) }}</script>
<script defer data-site="{site}" src="{service}/collect.js"></script>
<p>{path} <a id="pricing" href="/pricing">Pricing</a> <a id="shop" href="http://shop.test:{port}/">Shop</a>
"""


@pytest.fixture
async def pages(tenant: Tenant) -> AsyncIterator[tuple[int, str]]:
    """A web server for all hosts, whose pages all include the script; yields its port and the site's id."""
    site = await make_site(tenant)
    port = free_port()

    async def page(request: web.Request) -> web.Response:
        # Pages of this host link to the site but do not belong to it.
        site_id = "" if request.host.startswith("www.news.test") else site
        text = PAGE.format(path=request.path, site=site_id, service=tenant.base, port=port)
        return web.Response(text=text, content_type="text/html", headers={"Cache-Control": "no-store"})

    app = web.Application()
    app.router.add_get("/{path:.*}", page)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    yield port, site
    await runner.cleanup()


async def records(tenant: Tenant, site: str, kinds: str, *, any_order: bool = False) -> None:
    """Wait until the site has records of these kinds, given by first letters, in order of arrival (or in any order)."""
    connection = await asyncpg.connect(tenant.database_url)
    query = """
        SELECT coalesce(string_agg(left(kind::text, 1), '' ORDER BY ts), '')
        FROM web_record JOIN site USING (site_number) WHERE site_id = $1
    """
    try:
        async with asyncio.timeout(20):
            while (found := await connection.fetchval(query, site)) != kinds:
                if any_order and sorted(found) == sorted(kinds):
                    return
                assert len(found) <= len(kinds), found
                await asyncio.sleep(0.05)
    except TimeoutError:
        pytest.fail(f"The records are {found!r}, not {kinds!r}.")
    finally:
        await connection.close()


async def test_two_visitors(tenant: Tenant, pages: tuple[int, str], tmp_path: Path) -> None:
    port, site = pages
    while datetime.now(UTC).hour == 23 and datetime.now(UTC).minute > 57:
        await asyncio.sleep(1)  # both visits should be on the same day
    async with chromium(tmp_path / "one", CHROME) as page:
        await page.visit(f"http://www.news.test:{port}/story")
        await page.click("#shop")  # from another website to the front page
        await records(tenant, site, "p")
        await page.run("tidemark('signup_click')")
        await page.click("#pricing")
        await records(tenant, site, "pelp")
        await page.run("history.pushState({}, '', '/pricing/yearly?plan=a')")
        await page.run("history.pushState({}, '', '/pricing/yearly?plan=b#top')")  # the same page
        await page.run("history.replaceState({}, '', '/pricing/yearly')")
        await page.back()
        await page.back()
        await records(tenant, site, "pelppp")
        await asyncio.sleep(1.2)  # the visit should last a while, which the `leave` record shows
        await page.close()
        await records(tenant, site, "pelpppl")
    async with chromium(tmp_path / "two", FIREFOX) as page:
        await page.visit(f"http://evil.test:{port}/copy")  # a copy of the page on another site, which must not count
        record = f"{{site: '{site}', type: 'pageview', url: 'http://shop.test/'}}"
        sending = f"fetch('{tenant.base}/api/v2/collect', {{method: 'POST', body: JSON.stringify({record})}})"
        assert await page.run(f"{sending}.then(answer => answer.status)") == 403  # even if it lies about its address
        await page.visit(f"http://blog.shop.test:{port}/")  # a bounce, on a subdomain
        await records(tenant, site, "pelpppl" + "p")
        await page.close()
        await records(tenant, site, "pelpppl" + "pl")
    stats = await read(tenant, f"sites/{site}/stats")
    assert 0 < stats.pop("avgDuration") < 30
    assert stats == {
        "visitors": 2,
        "pageviews": 5,
        "bounceRate": 50,
        "topPages": [
            {"pathname": "/", "views": 2},
            {"pathname": "/pricing", "views": 2},
            {"pathname": "/pricing/yearly", "views": 1},
        ],
        "topReferrers": [{"referrer": "news.test", "count": 1}],
        "browsers": [{"browser": "Chrome", "count": 4}, {"browser": "Firefox", "count": 1}],
        "countries": [],
    }
    assert await read(tenant, f"sites/{site}/events") == {"events": [{"name": "signup_click", "count": 1}]}
    assert await read(tenant, f"sites/{site}/realtime") == {
        "activeVisitors": 2,
        "activePages": [{"path": "/", "visitors": 1}, {"path": "/pricing", "visitors": 1}],
    }
    views = await read(tenant, f"sites/{site}/pageviews", pathname="/pricing")
    assert (views["total"], views["unique"]) == (2, 1)
    assert views["chart"][-1] == {"date": str(datetime.now(UTC).date()), "count": 2}
    views = await read(tenant, f"sites/{site}/pageviews")
    assert (views["total"], views["unique"]) == (5, 2)
    assert [one["siteId"] for one in (await read(tenant, "sites"))["sites"]] == [site]


async def test_calls_before_the_script_has_loaded_count(tenant: Tenant, pages: tuple[int, str], tmp_path: Path) -> None:
    port, site = pages
    async with chromium(tmp_path / "early", CHROME) as page:
        script = "document.addEventListener('readystatechange', () => tidemark('early'), {once: true})"
        await page.command("Page.addScriptToEvaluateOnNewDocument", source=script)
        await page.visit(f"http://shop.test:{port}/")
        await records(tenant, site, "pe", any_order=True)  # they are sent at the same time
    assert await read(tenant, f"sites/{site}/events") == {"events": [{"name": "early", "count": 1}]}


async def test_a_replaced_address_is_where_the_visitor_is(
    tenant: Tenant, pages: tuple[int, str], tmp_path: Path
) -> None:
    port, site = pages
    async with chromium(tmp_path / "replaced", CHROME) as page:
        await page.visit(f"http://shop.test:{port}/pricing")
        await records(tenant, site, "p")  # records sent at the same time may arrive in any order
        await page.run("history.replaceState({}, '', '/offers')")
        await page.run("tidemark('seen')")
        await records(tenant, site, "pe")
        realtime = await read(tenant, f"sites/{site}/realtime")
        assert realtime["activePages"] == [{"path": "/offers", "visitors": 1}]
        await page.run("history.pushState({}, '', '/pricing')")
        await records(tenant, site, "pep")
