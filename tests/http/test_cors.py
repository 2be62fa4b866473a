"""Pages of the origins that the operator names can read the API from a browser, and no others."""

from collections.abc import Mapping
from pathlib import Path

import pytest
from aiohttp import ClientResponse, web
from tidemark.base.settings import SettingError, Settings

from tests.coldchain.requests import new_token
from tests.conftest import MakeTenant, Service, StartService, Tenant, free_port
from tests.web.chromium import PROGRAM, chromium

HERE = "https://dash.example.com"
LOCAL = "http://localhost:3000"
PREFLIGHT = {"Access-Control-Request-Method": "GET", "Access-Control-Request-Headers": "authorization,x-request-id"}


async def ask(
    tenant: Tenant, path: str, method: str = "GET", headers: Mapping[str, str] | None = None
) -> ClientResponse:
    """Send a request. Returns the response with its body read."""
    async with tenant.session.request(method, f"{tenant.base}{path}", headers=headers) as response:
        await response.read()
    return response


def cors(response: ClientResponse) -> dict[str, str]:
    """The headers of a response that concern browsers."""
    return {name.lower(): value for name, value in response.headers.items() if name.startswith("Access-Control")}


@pytest.fixture
async def open_to_two(service: Service, start_service: StartService, make_tenant: MakeTenant) -> Tenant:
    """A tenant of a service that is open to two origins and has its cache on."""
    own = start_service(
        service.database_url, TIDEMARK_CORS_ORIGINS=f"{HERE.upper()}:443, {LOCAL}", TIDEMARK_CACHE_SECONDS="30"
    )
    return await make_tenant(own)


async def test_answers_name_the_origin_that_may_read_them(open_to_two: Tenant) -> None:
    tenant = open_to_two
    token = await new_token(tenant)
    for path, headers, status in (
        ("/api/v1/latest", token, 200),
        ("/api/v1/latest", {**token, "Accept": "text/csv"}, 200),
        ("/api/v1/series", token, 400),
        ("/api/v1/latest", {}, 401),
        ("/api/v1/organization", token, 403),
        ("/api/v1/nothing", {}, 404),
        ("/api/v1/latest?token=x", {}, 401),
        ("/api/v2/sites", tenant.bearer, 200),
        ("/api/v2/sites/nobody/stats", tenant.bearer, 403),
    ):
        # From the cache, the same answer has the headers of each origin.
        for origin in (HERE, LOCAL, "https://dash.example.com:8443", "https://evil.example.com", "null", None):
            answer = await ask(tenant, path, headers={**headers, **({"Origin": origin} if origin else {})})
            assert answer.status == status
            assert "Origin" in [name.strip() for name in answer.headers["Vary"].split(",")]
            if origin not in (HERE, LOCAL):
                assert cors(answer) == {}
                continue
            found = cors(answer)
            exposed = found.pop("access-control-expose-headers").split(", ")
            assert found == {"access-control-allow-origin": origin}
            assert {"X-RateLimit-Remaining", "Retry-After", "ETag", "Age", "X-Total-Count"} <= set(exposed)


async def test_a_preflight_tells_methods_and_headers(open_to_two: Tenant) -> None:
    for path, methods in (
        ("/api/v1/latest", "GET, HEAD, OPTIONS"),
        ("/api/v1/sensors/x", "DELETE, GET, HEAD, OPTIONS, PATCH"),
        ("/api/v1/readings/", "DELETE, OPTIONS, POST"),
        ("/api/v2/sites", "GET, HEAD, OPTIONS"),
    ):
        answer = await ask(open_to_two, path, "OPTIONS", {"Origin": HERE, **PREFLIGHT})
        assert (answer.status, await answer.text()) == (204, "")
        found = cors(answer)
        asked = found.pop("access-control-allow-headers").lower().split(", ")
        wanted = {"authorization", "content-type", "organization-id", "organization-api-key", "last-event-id"}
        assert {*wanted, "x-request-id"} <= set(asked)
        assert found == {
            "access-control-allow-origin": HERE,
            "access-control-allow-methods": methods,
            "access-control-max-age": "7200",
        }
        refused = await ask(open_to_two, path, "OPTIONS", {"Origin": "https://evil.example.com", **PREFLIGHT})
        assert (refused.status, cors(refused)) == (204, {})


async def test_other_surfaces_and_services_say_nothing(open_to_two: Tenant, tenant: Tenant) -> None:
    for path in ("/health/live", "/api/external/v1/get_inputdata_by_inputs/", "/ping", "/api/v10", "/collect"):
        answer = await ask(open_to_two, path, headers={"Origin": HERE})
        assert (cors(answer), "Vary" in answer.headers) == ({}, False)
    collected = await ask(open_to_two, "/api/v2/collect", "POST", {"Origin": HERE})
    assert cors(collected) == {"access-control-allow-origin": "*"}
    by_default = await ask(tenant, "/api/v1/latest", headers={"Origin": HERE, **tenant.keys})
    assert (by_default.status, cors(by_default)) == (200, {})


@pytest.mark.skipif(PROGRAM is None, reason="Chromium is not installed; reading from a page was NOT TESTED")
async def test_a_page_in_a_real_browser(
    service: Service, start_service: StartService, make_tenant: MakeTenant, tmp_path: Path
) -> None:
    port, elsewhere = free_port(), free_port()
    own = start_service(service.database_url, TIDEMARK_CORS_ORIGINS=f"http://dash.test:{port}")
    tenant = await make_tenant(own)
    await tenant.sensor(id="s")
    token = await new_token(tenant)
    app = web.Application()

    async def page(_request: web.Request) -> web.Response:
        return web.Response(text="<!doctype html><title>Dashboard</title>", content_type="text/html")

    app.router.add_get("/", page)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    for one in (port, elsewhere):
        await web.TCPSite(runner, "127.0.0.1", one).start()
    script = """
        fetch("%s/api/v1/%s", {headers: %s}).then(
            async got => [got.status, got.headers.get("X-RateLimit-Limit"), (await got.json()).data?.length],
            failed => "refused")
    """
    async with chromium(tmp_path, "Tidemark tests") as browser:
        await browser.visit(f"http://dash.test:{port}/")
        assert await browser.run(script % (tenant.base, "latest", token)) == [200, "1000000", 1]
        assert await browser.run(script % (tenant.base, "sensors", tenant.keys)) == [200, None, 1]
        assert await browser.run(script % (tenant.base, "series", token)) == [400, "1000000", None]
        await browser.visit(f"http://dash.test:{elsewhere}/")
        assert await browser.run(script % (tenant.base, "latest", token)) == "refused"
    await runner.cleanup()


@pytest.mark.parametrize(
    "wrong",
    ["*", "null", "dash.example.com", "https://", "https://dash.example.com/", "https://a.example/x", "http://h:0",
     "http://h:70000", "https://user@h", "https://a.example https://b.example", "https://bücher.example", "https://*.example.com"],
)  # fmt: skip
def test_an_invalid_origin_is_refused_by_name(wrong: str) -> None:
    with pytest.raises(SettingError, match="TIDEMARK_CORS_ORIGINS"):
        Settings.from_environment({"TIDEMARK_CORS_ORIGINS": f"https://good.example,{wrong}"})


def test_origins_are_as_browsers_send_them() -> None:
    given = "HTTPS://Dash.Example.com:443, http://localhost:080,http://[::1]:3000, chrome-extension://abc,"
    assert Settings.from_environment({"TIDEMARK_CORS_ORIGINS": given}).cors_origins == {
        "https://dash.example.com",
        "http://localhost",
        "http://[::1]:3000",
        "chrome-extension://abc",
    }
    assert Settings.from_environment({}).cors_origins == frozenset()
