"""Tokens and their limits on the limited endpoints, however many processes serve."""

import asyncio
import time
from collections.abc import Mapping
from typing import Any

import asyncpg
import pytest
from aiohttp import ClientResponse, ClientSession
from tidemark.embedded.server import embedded_server

from tests.catalog.test_management import make
from tests.coldchain.requests import cold_room, new_token
from tests.conftest import PROGRAMS, MakeTenant, Service, StartService, Tenant

UNIT = {"cooling_unit_id": "7", "start_date": "2026-01-01", "end_date": "2026-01-02"}
GOOD: tuple[tuple[str, dict[str, str]], ...] = (
    ("sensor-data", UNIT),
    ("series", {"sensors": "t1-7", "start": "2026-01-01", "end": "2026-01-02"}),
    ("latest", {}),
)


async def ask(
    tenant: Tenant, path: str, headers: Mapping[str, str], parameters: Mapping[str, str], method: str = "GET"
) -> ClientResponse:
    """Send a request on a connection of its own, so that any process may get it. Returns the response with its body
    read.
    """
    url = f"{tenant.base}/api/v1/{path}"
    async with ClientSession() as session, session.request(method, url, params=parameters, headers=headers) as response:
        await response.read()
    return response


def allowance(response: ClientResponse) -> tuple[int, int, int]:
    """The limit, what remains of it, and when the window ends."""
    limit, remaining, reset = (int(response.headers[f"X-RateLimit-{name}"]) for name in ("Limit", "Remaining", "Reset"))
    return limit, remaining, reset


async def one_minute(tenant: Tenant, questions: list[tuple[str, dict[str, str]]], **token: Any) -> list[ClientResponse]:
    """The responses to requests that are all sent at once, with a new token and within one window."""
    while True:
        headers = await new_token(tenant, **token)
        answers = await asyncio.gather(*(ask(tenant, path, headers, asked) for path, asked in questions))
        # A new minute began in between; the next attempt is far from the end of a minute.
        if len({allowance(answer)[2] for answer in answers}) == 1:
            return list(answers)


async def test_exactly_the_limit_passes_in_a_window_however_many_processes_serve(
    service: Service, start_service: StartService, make_tenant: MakeTenant
) -> None:
    crowd = start_service(service.database_url, TIDEMARK_WORKERS="3", TIDEMARK_CACHE_SECONDS="30")
    tenant = await make_tenant(crowd)
    await cold_room(tenant)
    limit = 20
    # One counter for all endpoints; cached responses and refused requests count as well.
    questions = [*GOOD, ("series", {"sensors": "t1-7"})] * 12
    answers = await one_minute(tenant, questions, rate_limit=limit)
    passed = [answer for answer in answers if answer.status != 429]
    refused = [answer for answer in answers if answer.status == 429]
    assert (len(passed), len(refused)) == (limit, len(questions) - limit)
    assert {answer.status for answer in passed} <= {200, 400}
    assert sorted(allowance(answer)[1] for answer in passed) == list(range(limit))
    assert {allowance(answer)[:2] for answer in refused} == {(limit, 0)}
    reset = allowance(answers[0])[2]
    assert reset % 60 == 0
    for answer in refused:
        assert 1 <= int(answer.headers["Retry-After"]) <= 60
        assert reset - 61 <= time.time() < reset + 60
        document = await answer.json()
        assert document["error"]["code"] == "rate_limit_exceeded"
        assert document["error"]["details"] == {}
    assert crowd.stop() == 0


async def test_a_new_window_begins_with_the_next_minute(tenant: Tenant) -> None:
    await cold_room(tenant)
    headers = await new_token(tenant, rate_limit=1)
    connection = await asyncpg.connect(tenant.database_url)
    statuses = set()
    for _ in range(3):
        answer = await ask(tenant, "latest", headers, {})
        statuses.add(answer.status)
        assert allowance(answer)[0] == 1
    assert statuses == {200, 429}
    # As if the count were a minute old.
    await connection.execute("UPDATE token_usage SET minute = minute - interval '1 minute'")
    await connection.close()
    answer = await ask(tenant, "latest", headers, {})
    assert (answer.status, allowance(answer)[1]) == (200, 0)


async def test_every_authenticated_response_states_the_allowance(tenant: Tenant) -> None:
    await cold_room(tenant)
    headers, wrong_scope = await new_token(tenant), await new_token(tenant, scopes=["users"])
    cases = [
        *((path, headers, asked, "GET", 200) for path, asked in GOOD),
        *((path, headers, asked, "HEAD", 200) for path, asked in GOOD),
        *((path, {**headers, "Accept": "text/csv"}, asked, "GET", 200) for path, asked in GOOD[1:]),
        *((path, headers, {"page": "0"}, "GET", 400) for path, _ in GOOD),
        *((path, wrong_scope, asked, "GET", 403) for path, asked in GOOD),
        *((path, headers, {}, "POST", 405) for path, _ in GOOD),
        ("analytics/nothing", headers, {}, "GET", 404),
    ]
    for path, given, asked, method, status in cases:
        for spelling in (path, f"{path}/"):
            answer = await ask(tenant, spelling, given, asked, method)
            assert answer.status == status, (method, spelling)
            limit, remaining, reset = allowance(answer)
            assert (limit, remaining < limit) == (1_000_000, True)
            assert time.time() - 2 < reset <= time.time() + 62


async def test_only_tokens_are_counted_and_only_there(tenant: Tenant) -> None:
    for path, headers, method, status in (
        ("latest", {}, "GET", 401),
        ("latest", {"Authorization": "Bearer ctv_live_example_token"}, "GET", 401),
        ("latest", tenant.keys, "GET", 200),
        ("analytics/users", tenant.keys, "GET", 401),
        ("latest", {}, "POST", 405),
        ("latest", {}, "OPTIONS", 204),
        ("sensors", tenant.bearer, "GET", 200),
        ("nothing", tenant.bearer, "GET", 404),
    ):
        answer = await ask(tenant, path, headers, {}, method)
        assert answer.status == status
        assert not [name for name in answer.headers if name.startswith("X-RateLimit")]
    assert (await ask(tenant, "latest", tenant.bearer, {"token": "x"})).status == 401


@pytest.mark.parametrize("end", ["revoked", "expired"])
async def test_a_token_that_ends_is_refused_by_every_process_even_what_is_cached(
    end: str, service: Service, start_service: StartService, make_tenant: MakeTenant
) -> None:
    crowd = start_service(service.database_url, TIDEMARK_WORKERS="3", TIDEMARK_CACHE_SECONDS="3600")
    tenant = await make_tenant(crowd)
    await cold_room(tenant)
    fields: dict[str, Any] = {"scopes": ["sensor_data"], "rate_limit": 100_000}
    if end == "expired":
        expiry = time.time() + 3
        fields["expires_at"] = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(expiry))
    made = await make(tenant, "api-tokens", fields)
    headers = {"Authorization": f"Bearer {made['token']}"}
    first = await asyncio.gather(*(ask(tenant, path, headers, asked) for path, asked in GOOD * 8))
    assert {answer.status for answer in first} == {200}
    assert any("Age" in answer.headers for answer in first)
    if end == "revoked":
        assert (await tenant.manage("DELETE", f"api-tokens/{made['id']}")).status == 204
    deadline = time.monotonic() + 5
    while {a.status for a in await asyncio.gather(*(ask(tenant, p, headers, q) for p, q in GOOD * 4))} != {401}:
        assert time.monotonic() < deadline
    # From then on for good, in every process.
    after = await asyncio.gather(*(ask(tenant, path, headers, asked) for path, asked in GOOD * 8))
    assert {answer.status for answer in after} == {401}
    assert crowd.stop() == 0


async def test_the_last_use_of_a_token_is_known_within_a_minute(
    service: Service, start_service: StartService, make_tenant: MakeTenant
) -> None:
    own = start_service(service.database_url)
    tenant = await make_tenant(own)
    await ask(tenant, "latest", await new_token(tenant), {})
    used = time.time()
    while True:
        listed = (await (await tenant.manage("GET", "api-tokens")).json())["data"]
        [mine] = [token for token in listed if token["scopes"] == ["sensor_data"]]
        if mine["last_used_at"] is not None:
            break
        assert time.time() < used + 60
        await asyncio.sleep(0.5)
    assert own.stop() == 0


async def test_without_a_database_responses_ask_to_try_again(
    engine: str, tmp_path: Any, start_service: StartService, make_tenant: MakeTenant
) -> None:
    with embedded_server(tmp_path / "data", PROGRAMS[engine].folder) as server:
        service = start_service(server.url)
        tenant = await make_tenant(service)
        await cold_room(tenant)
        headers = await new_token(tenant)
        assert (await ask(tenant, "latest", headers, {})).status == 200
    answer = await ask(tenant, "latest", headers, {})
    assert answer.status == 503
    assert int(answer.headers["Retry-After"]) >= 1
    assert (await answer.json())["error"]["code"] == "unavailable"
    assert service.stop() == 0
