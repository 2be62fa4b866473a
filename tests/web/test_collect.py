"""The collector: what it accepts and refuses, whose forwarded addresses it trusts, how it identifies visitors."""

import asyncio
import json
import time
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from aiohttp import ClientResponse
from mmdb_writer import MMDBWriter
from netaddr import IPSet
from tidemark.embedded.server import Server

from tests.conftest import MakeTenant, Service, StartService, Tenant

CHROME = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36"
)
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:133.0) Gecko/20100101 Firefox/133.0"
GOOGLEBOT = "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"


async def make_site(tenant: Tenant, **fields: Any) -> str:
    """Create a site and return its id."""
    response = await tenant.manage("POST", "sites", {"domain": "shop.test", **fields})
    assert response.status == 201, await response.text()
    return str((await response.json())["siteId"])


async def send(
    tenant: Tenant, site: str, *, headers: dict[str, str] | None = None, body: bytes | None = None, **fields: Any
) -> ClientResponse:
    """Send what a page would send: by default, a page view of the front page."""
    document = {"site": site, "type": "pageview", "url": "https://shop.test/", **fields}
    given = {"User-Agent": CHROME, "Content-Type": "text/plain;charset=UTF-8", **(headers or {})}
    data = json.dumps(document).encode() if body is None else body
    async with tenant.session.post(f"{tenant.base}/api/v2/collect", data=data, headers=given) as response:
        await response.read()
    return response


async def read(tenant: Tenant, path: str, **parameters: str) -> Any:
    """The document of a response of the web analytics API, which must be 200."""
    url = f"{tenant.base}/api/v2/{path}"
    async with tenant.session.get(url, params=parameters, headers=tenant.bearer) as response:
        assert response.status == 200, await response.text()
        return await response.json()


async def stats(tenant: Tenant, site: str) -> Any:
    """The site's figures for the last seven days."""
    return await read(tenant, f"sites/{site}/stats")


async def assert_refused(response: ClientResponse, status: int, word: str) -> None:
    """Assert that the response is an error in the format of the API, readable across origins, with this word in it."""
    assert response.status == status, await response.text()
    document = await response.json()
    assert set(document) == {"error"}
    assert word in document["error"]
    assert response.headers["Access-Control-Allow-Origin"] == "*"


async def test_what_pages_send_is_counted_at_once(tenant: Tenant) -> None:
    site = await make_site(tenant)
    began = time.monotonic()
    sendings: tuple[dict[str, Any], ...] = (
        {"referrer": "https://www.news.test/story?x=1"},
        {"url": "https://www.shop.test/pricing?plan=a#top", "referrer": "https://shop.test/"},
        {"type": "event", "name": "signup_click"},
        {"type": "leave"},
    )
    for fields in sendings:
        response = await send(tenant, site, **fields)
        assert response.status == 204
        assert response.headers["Access-Control-Allow-Origin"] == "*"
        assert "Set-Cookie" not in response.headers
    bounced = await send(tenant, site, headers={"User-Agent": FIREFOX, "Content-Type": "application/json"})
    assert bounced.status == 204
    found = await stats(tenant, site)
    # One of the two sessions lasted for as long as this test sent; the mean is rounded to whole seconds.
    assert 0 <= found.pop("avgDuration") <= (time.monotonic() - began) / 2 + 0.5
    assert found == {
        "visitors": 2,
        "pageviews": 3,
        "bounceRate": 50,
        "topPages": [{"pathname": "/", "views": 2}, {"pathname": "/pricing", "views": 1}],
        "topReferrers": [{"referrer": "news.test", "count": 1}],
        "browsers": [{"browser": "Chrome", "count": 2}, {"browser": "Firefox", "count": 1}],
        "countries": [],
    }
    assert await read(tenant, f"sites/{site}/events") == {"events": [{"name": "signup_click", "count": 1}]}
    assert await read(tenant, f"sites/{site}/realtime") == {
        "activeVisitors": 2,
        "activePages": [{"path": "/", "visitors": 2}],
    }
    pricing = await read(tenant, f"sites/{site}/pageviews", range="30d", pathname="/pricing")
    assert (pricing["total"], pricing["unique"], len(pricing["chart"])) == (1, 1, 30)
    assert [day["count"] for day in pricing["chart"]] == [0] * 29 + [1]


@pytest.mark.parametrize(
    ("fields", "word"),
    [
        ({"url": "https://evil.test/"}, "page"),
        ({"url": "https://notshop.test/"}, "page"),
        ({"url": "https://shop.test.evil.test/"}, "page"),
        ({"url": "https://shop.test@evil.test/"}, "page"),
        ({"headers": {"Origin": "https://evil.test"}}, "origin"),
        ({"headers": {"Origin": "null"}}, "origin"),
        ({"site": "0" * 24}, "site"),
    ],
)
async def test_what_is_not_on_the_site_is_forbidden(tenant: Tenant, fields: dict[str, Any], word: str) -> None:
    site = await make_site(tenant)
    response = await send(tenant, **{"site": site, **fields})
    await assert_refused(response, 403, word)
    assert (await stats(tenant, site))["pageviews"] == 0


@pytest.mark.parametrize(
    ("fields", "status", "word"),
    [
        ({"body": b"{"}, 400, "JSON"),
        ({"body": b"[]"}, 400, "object"),
        ({"body": b"\xff"}, 400, "JSON"),
        ({"site": 5}, 400, "site"),
        ({"site": None}, 400, "site"),
        ({"type": "visit"}, 400, "type"),
        ({"type": ["pageview"]}, 400, "type"),
        ({"type": "event"}, 400, "name"),
        ({"type": "event", "name": "a\u0000b"}, 400, "name"),
        ({"type": "event", "name": "x" * 1025}, 400, "name"),
        ({"url": "/pricing"}, 400, "url"),
        ({"url": "https://shop.test/" + "x" * 1007}, 400, "url"),
        ({"referrer": "https://news.test/" + "x" * 1007}, 400, "referrer"),
        ({"url": "http://[shop.test/"}, 400, "url"),
        ({"referrer": 5}, 400, "referrer"),
        ({"headers": {"Content-Type": "text/html"}}, 415, "text/plain"),
        ({"body": b" " * 70_000}, 413, "65536"),
    ],
)
async def test_what_cannot_be_used_is_refused(tenant: Tenant, fields: dict[str, Any], status: int, word: str) -> None:
    site = await make_site(tenant)
    await assert_refused(await send(tenant, **{"site": site, **fields}), status, word)


async def test_odd_paths_and_referrers_are_taken(tenant: Tenant) -> None:
    site = await make_site(tenant)
    sendings: tuple[dict[str, Any], ...] = (
        {"url": "http://SHOP.test.:8080", "referrer": "about:blank"},
        {"url": "https://a.b.shop.test/caf\u00e9", "referrer": "http://[broken"},
        {"url": "https://shop.test/caf%C3%A9", "referrer": "https://shop.test.evil.test"},
        {"url": "https://shop.test/\u0000" + "x" * 1000, "referrer": None},
    )
    for fields in sendings:
        assert (await send(tenant, site, **fields)).status == 204
    found = await stats(tenant, site)
    assert found["topReferrers"] == [{"referrer": "shop.test.evil.test", "count": 1}]
    assert found["topPages"] == [
        {"pathname": "/caf%C3%A9", "views": 2},
        {"pathname": "/", "views": 1},
        {"pathname": "/%00" + "x" * 496, "views": 1},
    ]
    for pathname in ("/caf%C3%A9", "/café"):
        assert (await read(tenant, f"sites/{site}/pageviews", pathname=pathname))["total"] == 2


async def test_texts_of_the_largest_size_are_taken(tenant: Tenant) -> None:
    site = await make_site(tenant)
    longest = "https://shop.test/".ljust(1024, "x")
    assert (await send(tenant, site, url=longest, referrer=longest.replace("shop", "news"))).status == 204
    for name, kept in (("x" * 1024, 1024), ("\N{POTATO}" * 1024, 512)):
        assert (await send(tenant, site, type="event", name=name)).status == 204
        assert {"name": name[:kept], "count": 1} in (await read(tenant, f"sites/{site}/events"))["events"]
    found = await stats(tenant, site)
    assert found["topReferrers"] == [{"referrer": "news.test", "count": 1}]
    assert [page["pathname"] for page in found["topPages"]] == [f"/{'x' * 499}"]


async def test_known_bots_are_answered_and_not_counted(tenant: Tenant) -> None:
    site = await make_site(tenant)
    assert (await send(tenant, site, headers={"User-Agent": GOOGLEBOT})).status == 204
    assert (await stats(tenant, site))["visitors"] == 0


async def test_a_browser_may_ask_before_it_sends_json(tenant: Tenant) -> None:
    asked = {
        "Origin": "https://shop.test",
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "content-type",
    }
    async with tenant.session.options(f"{tenant.base}/api/v2/collect", headers=asked) as response:
        assert response.status == 204
        assert response.headers["Access-Control-Allow-Origin"] == "*"
        assert "POST" in response.headers["Access-Control-Allow-Methods"]
        assert response.headers["Access-Control-Allow-Headers"].lower() == "content-type"


async def test_the_script_is_small_and_kept_by_browsers(tenant: Tenant) -> None:
    async with tenant.session.get(f"{tenant.base}/collect.js") as response:
        script = await response.read()
        assert response.status == 200
        assert response.content_type == "text/javascript"
        assert 0 < len(script) < 2000
        assert "public" in response.headers["Cache-Control"]
        etag = response.headers["ETag"]
    for word in (b"cookie", b"localStorage", b"sessionStorage"):
        assert word not in script
    async with tenant.session.get(f"{tenant.base}/collect.js", headers={"If-None-Match": etag}) as response:
        assert response.status == 304


async def test_changes_of_a_site_are_heard_at_once(tenant: Tenant) -> None:
    site = await make_site(tenant)
    assert (await send(tenant, site)).status == 204
    assert (await tenant.manage("PATCH", f"sites/{site}", {"isActive": False})).status == 200
    assert (await send(tenant, site)).status == 403
    sites = (await read(tenant, "sites"))["sites"]
    assert [(one["siteId"], one["isActive"]) for one in sites] == [(site, False)]
    assert (await tenant.manage("PATCH", f"sites/{site}", {"isActive": True, "domain": "new.test"})).status == 200
    assert (await send(tenant, site)).status == 403
    assert (await send(tenant, site, url="https://new.test/")).status == 204
    assert (await stats(tenant, site))["pageviews"] == 2


async def test_days_already_begun_stay_when_the_time_zone_changes(tenant: Tenant) -> None:
    site = await make_site(tenant, timezone="Pacific/Pago_Pago")  # 25 hours behind Kiritimati
    assert (await send(tenant, site)).status == 204
    assert (await tenant.manage("PATCH", f"sites/{site}", {"timezone": "Pacific/Kiritimati"})).status == 200
    assert (await send(tenant, site)).status == 204
    chart = (await read(tenant, f"sites/{site}/pageviews"))["chart"]
    assert sum(day["count"] for day in chart[:-1]) == chart[-1]["count"] == 1
    assert (await stats(tenant, site))["visitors"] == 2


async def test_deleting_a_site_deletes_what_it_collected(tenant: Tenant) -> None:
    site, other = await make_site(tenant), await make_site(tenant)
    connection = await asyncpg.connect(tenant.database_url)
    number = await connection.fetchval("SELECT site_number FROM site WHERE site_id = $1", site)
    assert {(await send(tenant, one)).status for one in (site, other)} == {204}
    assert (await tenant.manage("DELETE", f"sites/{site}")).status == 204
    for table in (
        "web_record",
        "web_daily",
        "web_daily_facet",
        "web_recent_facet",
        "web_line",
        "web_late_mark",
        "web_name",
        "web_name_count",
        "visitor_key",
    ):
        assert not await connection.fetchval(f"SELECT count(*) FROM {table} WHERE site_number = $1", number)
    await connection.close()
    assert (await send(tenant, site)).status == 403
    assert (await stats(tenant, other))["pageviews"] == 1


async def test_neither_address_nor_user_agent_is_stored(tenant: Tenant) -> None:
    site = await make_site(tenant)
    assert (await send(tenant, site)).status == 204
    connection = await asyncpg.connect(tenant.database_url)
    row = await connection.fetchrow(
        "SELECT r.*, k.key FROM web_record AS r JOIN site USING (site_number) "
        "JOIN visitor_key AS k USING (site_number, day) WHERE site_id = $1",
        site,
    )
    await connection.close()
    assert row is not None
    assert len(row["key"]) == 32
    assert not any(word in str(dict(row)) for word in ("127.0.0.1", "Mozilla", "Windows"))


async def test_forwarded_addresses_are_believed_of_trusted_proxies_alone(
    server: Server, start_service: StartService, make_tenant: MakeTenant, tmp_path: Path
) -> None:
    database = MMDBWriter(ip_version=6, ipv4_compatible=True, database_type="GeoLite2-Country")
    database.insert_network(IPSet(["81.2.69.0/24"]), {"country": {"iso_code": "GB"}})
    database.insert_network(IPSet(["2001:db8::/32"]), {"country": {"iso_code": "NG"}})
    database.to_db_file(str(tmp_path / "country.mmdb"))
    geoip = {"TIDEMARK_GEOIP_DB": str(tmp_path / "country.mmdb")}
    trusting = start_service(server.url, TIDEMARK_TRUSTED_PROXIES="127.0.0.0/8, 10.0.0.0/8", **geoip)
    tenant = await make_tenant(trusting)
    site = await make_site(tenant)
    for forwarded in ("81.2.69.160", "1.1.1.1, 81.2.69.160, 10.1.2.3", "[2001:db8::1]:443", "::ffff:81.2.69.160"):
        assert (await send(tenant, site, headers={"X-Forwarded-For": forwarded})).status == 204
    found = await stats(tenant, site)
    assert found["visitors"] == 2
    assert found["countries"] == [{"country": "GB", "count": 3}, {"country": "NG", "count": 1}]
    trusting.stop()
    tenant = await make_tenant(start_service(server.url, **geoip))
    site = await make_site(tenant)
    for forwarded in ("81.2.69.160", "81.2.69.161"):
        assert (await send(tenant, site, headers={"X-Forwarded-For": forwarded})).status == 204
    found = await stats(tenant, site)
    assert (found["visitors"], found["countries"]) == (1, [])


async def test_workers_share_the_key_of_a_day(
    server: Server, start_service: StartService, make_tenant: MakeTenant
) -> None:
    service = start_service(server.url, TIDEMARK_WORKERS="2")
    tenant = await make_tenant(service)
    site = await make_site(tenant)
    closing = {"Connection": "close"}
    answers = await asyncio.gather(*(send(tenant, site, headers=closing) for _ in range(60)))
    assert {answer.status for answer in answers} == {204}
    found = await stats(tenant, site)
    assert (found["visitors"], found["pageviews"]) == (1, 60)


async def test_records_survive_a_kill_once_acknowledged(
    server: Server, start_service: StartService, make_tenant: MakeTenant
) -> None:
    service = start_service(server.url)
    tenant = await make_tenant(service)
    site = await make_site(tenant)
    answers = await asyncio.gather(*(send(tenant, site, url=f"https://shop.test/{n}") for n in range(40)))
    service.process.kill()
    service.process.wait()
    assert {answer.status for answer in answers} == {204}
    after = await make_tenant(start_service(server.url))
    tenant.base = after.base
    assert (await stats(tenant, site))["pageviews"] == 40


def test_a_broken_country_database_is_named(server: Server, start_service: StartService, tmp_path: Path) -> None:
    (tmp_path / "broken").write_bytes(b"nothing")
    service: Service = start_service(server.url, wait_ready=False, TIDEMARK_GEOIP_DB=str(tmp_path / "broken"))
    assert service.process.wait(30) == 1
    assert "TIDEMARK_GEOIP_DB" in service.output.read_text()
