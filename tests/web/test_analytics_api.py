"""The five endpoints as the seed shows them: response formats, errors and limits; and the roll-ups by the job."""

import asyncio
import re
import time
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import asyncpg
import pytest
from aiohttp import ClientResponse

from tests.conftest import MakeTenant, Service, StartService, Tenant
from tests.web.test_collect import make_site, read, send

ENDPOINTS = ("stats", "realtime", "events", "pageviews")


async def ask(tenant: Tenant, path: str, token: str | None = None, **parameters: str) -> ClientResponse:
    """Send a GET request to the web analytics API; returns the response after reading it."""
    headers = {"Authorization": f"Bearer {tenant.admin_token if token is None else token}"}
    async with tenant.session.get(f"{tenant.base}/api/v2/{path}", params=parameters, headers=headers) as response:
        await response.read()
    return response


async def make_token(tenant: Tenant, *scopes: str, **fields: Any) -> str:
    """Create a token and return it."""
    response = await tenant.manage("POST", "api-tokens", {"name": "test", "scopes": scopes, **fields})
    assert response.status == 201, await response.text()
    return str((await response.json())["token"])


async def error_of(response: ClientResponse, status: int) -> str:
    """The message of an error, which must have the format of the seed."""
    assert response.status == status, await response.text()
    assert response.content_type == "application/json"
    document = await response.json()
    assert list(document) == ["error"]
    return str(document["error"])


async def test_sites_are_listed_with_the_fields_of_the_seed(
    tenant: Tenant, service: Service, make_tenant: MakeTenant
) -> None:
    first = await make_site(tenant, name="My Website", timezone="Europe/Berlin")
    second = await make_site(tenant, isActive=False)
    await make_site(await make_tenant(service))
    sites = (await read(tenant, "sites/"))["sites"]
    assert [one["siteId"] for one in sites] == [first, second]
    assert list(sites[0]) == ["siteId", "name", "domain", "isActive", "createdAt"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", sites[0]["createdAt"])
    assert (sites[0]["name"], sites[0]["isActive"], sites[1]["isActive"]) == ("My Website", True, False)


async def test_a_site_without_visits_has_zeros_in_the_shapes_of_the_seed(tenant: Tenant) -> None:
    site = await make_site(tenant, timezone="Pacific/Kiritimati")
    stats = await read(tenant, f"sites/{site}/stats")
    assert list(stats.items()) == [
        ("visitors", 0),
        ("pageviews", 0),
        ("bounceRate", 0),
        ("avgDuration", 0),
        ("topPages", []),
        ("topReferrers", []),
        ("browsers", []),
        ("countries", []),
    ]
    assert await read(tenant, f"sites/{site}/realtime") == {"activeVisitors": 0, "activePages": []}
    assert await read(tenant, f"sites/{site}/events", range="90d") == {"events": []}
    for days in (7, 30, 90):
        answer = await read(tenant, f"sites/{site}/pageviews", range=f"{days}d")
        assert (answer["total"], answer["unique"], len(answer["chart"])) == (0, 0, days)
    assert len((await read(tenant, f"sites/{site}/pageviews"))["chart"]) == 7
    assert answer["chart"][-1] == {"date": str(datetime.now(ZoneInfo("Pacific/Kiritimati")).date()), "count": 0}


async def test_who_may_read_what(tenant: Tenant, service: Service, make_tenant: MakeTenant) -> None:
    site = await make_site(tenant)
    foreign = await make_site(await make_tenant(service))
    token = await make_token(tenant, "sites")
    narrow = await make_token(tenant, "sensor_data")
    for endpoint in ENDPOINTS:
        assert (await ask(tenant, f"sites/{site}/{endpoint}", token)).status == 200
        messages = {
            await error_of(await ask(tenant, f"sites/{one}/{endpoint}", token), 403)
            for one in (foreign, "f" * 24, "no such site", "%00")
        }
        assert len(messages) == 1
        await error_of(await ask(tenant, f"sites/{site}/{endpoint}", narrow), 403)
    await error_of(await ask(tenant, "sites", narrow), 403)
    for path in ("sites", f"sites/{site}/stats"):
        response = await ask(tenant, path, "wrong")
        assert await error_of(response, 401) == "Unauthorized — provide a valid API key"
        assert "WWW-Authenticate" in response.headers
        async with tenant.session.get(f"{tenant.base}/api/v2/{path}", headers=tenant.keys) as without_token:
            await error_of(without_token, 401)


@pytest.mark.parametrize(
    ("endpoint", "parameters", "field"),
    [
        ("stats", {"range": "1d"}, "range"),
        ("events", {"range": ""}, "range"),
        ("pageviews", {"range": "90"}, "range"),
        ("pageviews", {"pathname": "pricing"}, "pathname"),
        ("pageviews", {"pathnam": "/"}, "pathnam"),
        ("realtime", {"range": "7d"}, "range"),
    ],
)
async def test_parameters_that_cannot_be_used_are_named(
    tenant: Tenant, endpoint: str, parameters: dict[str, str], field: str
) -> None:
    site = await make_site(tenant)
    assert field in await error_of(await ask(tenant, f"sites/{site}/{endpoint}", **parameters), 400)


async def test_any_pathname_can_be_asked_for(tenant: Tenant) -> None:
    site = await make_site(tenant)
    for pathname in ("/%00", "/%ff", "/%ED%A0%80", "/" + "x" * 3000):
        url = f"{tenant.base}/api/v2/sites/{site}/pageviews?pathname={pathname}"
        async with tenant.session.get(url, headers=tenant.bearer) as response:
            assert response.status == 200


async def test_requests_are_limited_with_times_in_milliseconds(tenant: Tenant) -> None:
    site = await make_site(tenant)
    token = await make_token(tenant, "sites", rate_limit=3)
    while time.time() % 60 > 50:  # all requests should be in the same minute
        await asyncio.sleep(0.2)
    seen = [await ask(tenant, path, token) for path in ("sites", f"sites/{site}/stats", "sites/x/stats", "sites")]
    assert [one.status for one in seen] == [200, 200, 403, 429]
    assert [one.headers["X-RateLimit-Remaining"] for one in seen] == ["2", "1", "0", "0"]
    assert {one.headers["X-RateLimit-Limit"] for one in seen} == {"3"}
    assert 0 < int(seen[0].headers["X-RateLimit-Reset"]) / 1000 - time.time() <= 60
    assert 1 <= int(seen[3].headers["Retry-After"]) <= 60
    await error_of(seen[3], 429)


async def test_the_job_rolls_up_days_that_are_over_and_destroys_old_keys(
    migrated_url: str, start_service: StartService, make_tenant: MakeTenant
) -> None:
    first = start_service(migrated_url)
    tenant = await make_tenant(first)
    site = await make_site(tenant)
    connection = await asyncpg.connect(migrated_url)
    assert (await send(tenant, site)).status == 204
    # As if all this had happened three days ago.
    await connection.execute(
        """
        WITH gone AS (DELETE FROM web_record RETURNING *)
        INSERT INTO web_record
        SELECT site_number, ts - interval '3 days', id, day - 3, visitor, kind, pathname, null, null, browser FROM gone
        """
    )
    await connection.execute("UPDATE visitor_key SET day = day - 3, created_at = created_at - interval '3 days'")
    await connection.execute("UPDATE web_line SET mark_day = '0001-01-01', read_day = '0001-01-01'")
    first.stop()
    tenant.base = start_service(migrated_url).base  # its maintenance job does at once what is due
    while not await connection.fetchval("SELECT count(*) FROM web_daily") or await connection.fetchval(
        "SELECT count(*) FROM visitor_key"
    ):
        await asyncio.sleep(0.1)
    assert (await read(tenant, f"sites/{site}/stats"))["pageviews"] == 1
    await connection.close()
