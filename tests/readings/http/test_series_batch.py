"""`POST /api/v1/series/batch`: many questions in one request, each with its page or its error."""

from collections.abc import Mapping
from typing import Any

import pytest
from aiohttp import ClientResponse

from tests.coldchain.requests import assert_about, cold_room, get, new_token, store
from tests.conftest import MakeTenant, Service, StartService, Tenant

DAY = {"start": "2026-01-01", "end": "2026-01-01"}


@pytest.fixture
async def token(tenant: Tenant) -> dict[str, str]:
    """A token, and two sensors with a reading every 15 minutes, one of them without an asset."""
    await cold_room(tenant)
    await tenant.sensor(id="alone")
    times = [f"2026-01-01T{quarter // 4:02d}:{quarter % 4 * 15:02d}:00Z" for quarter in range(96)]
    await store(tenant, [(sensor, at, float(n)) for sensor in ("t1-7", "alone") for n, at in enumerate(times)])
    return await new_token(tenant)


async def ask(tenant: Tenant, headers: Mapping[str, str], document: Any, query: str = "") -> ClientResponse:
    """Send a batch. Returns the response with its body read."""
    url = f"{tenant.base}/api/v1/series/batch{query}"
    async with tenant.session.post(url, json=document, headers=headers) as response:
        await response.read()
    return response


async def test_each_question_is_answered_as_if_asked_alone(tenant: Tenant, token: dict[str, str]) -> None:
    questions: list[dict[str, Any]] = [
        {"sensors": "alone", **DAY},
        {"sensors": "alone,t1-7", "aggregation": "hourly", "page": 2, "page_size": 10, **DAY},
        {"sensors": "t2-7", "aggregation": "auto", "max_points": 5, "fill": "null", **DAY},
        {"sensors": "t1-7", "aggregation": "15_minutes", "timezone": "Asia/Kathmandu", **DAY},
    ]
    answers = (await (await ask(tenant, token, {"queries": questions})).json())["data"]
    for question, answer in zip(questions, answers, strict=True):
        assert answer == await (await get(tenant, "series", token, **question)).json()
    # Lists and nulls may be JSON's own.
    asked = {"sensors": ["alone", "t1-7"], "fill": None, "page_size": 3, **DAY}
    [answer] = (await (await ask(tenant, token, {"queries": [asked]})).json())["data"]
    assert [item["sensor_id"] for item in answer["data"]] == ["alone", "t1-7", "alone"]
    assert answer["meta"]["filters"] == {"sensors": ["alone", "t1-7"], **DAY}


async def test_a_bad_question_does_not_affect_the_others(tenant: Tenant, token: dict[str, str]) -> None:
    good = {"sensors": "alone", "page_size": 1, **DAY}
    bad: list[tuple[Any, str]] = [
        ({**good, "sensors": "nobody"}, "sensors"),
        ({**good, "start": "soon"}, "start"),
        ({**good, "end": "2025-12-31"}, "end"),
        ({**good, "start": "2000-01-01", "aggregation": "minute"}, "end"),
        ({**good, "aggregation": "auto", "max_points": 1, "fill": "null", "start": "2025-12-31"}, "max_points"),
        ({**good, "page_size": 1001}, "page_size"),
        ({**good, "page": 1.5}, "page"),
        ({**good, "page": True}, "page"),
        ({**good, "sensors": [1]}, "sensors"),
        ({**good, "fill": ["null"]}, "fill"),
        ({**good, "colour": "blue"}, "colour"),
        ({}, "sensors"),
        ("alone", "queries"),
        (None, "queries"),
    ]
    questions = [one for question, _ in bad for one in (good, question)]
    response = await ask(tenant, token, {"queries": questions})
    assert response.status == 200
    answers = (await response.json())["data"]
    for (question, field), before, answer in zip(bad, answers[::2], answers[1::2], strict=True):
        assert [item["value"] for item in before["data"]] == [0.0]
        assert_about(answer, field)
        if isinstance(question, dict) and not any(isinstance(one, list | float | bool) for one in question.values()):
            assert answer == await (await get(tenant, "series", token, **question)).json()


async def test_the_error_names_the_field_at_fault(tenant: Tenant, token: dict[str, str]) -> None:
    questions = [{"sensors": "alone", **DAY, "page": 1.0}, {"sensors": ["alone", 1], **DAY}]
    answers = (await (await ask(tenant, token, {"queries": questions})).json())["data"]
    assert [answer["error"]["message"] for answer in answers] == [
        "page must be text or a whole number.",
        "sensors must be text or a list of ids.",
    ]


@pytest.mark.parametrize(
    ("document", "field"),
    [
        ({"queries": []}, "queries"),
        ({"queries": [{}] * 201}, "queries"),
        ({"queries": {}}, "queries"),
        ({}, "queries"),
        ([], "queries"),
        ({"queries": [{}], "page": 1}, "queries"),
    ],
)
async def test_a_body_that_is_not_a_batch_is_refused(document: Any, field: str, tenant: Tenant) -> None:
    response = await ask(tenant, tenant.keys, document)
    assert response.status == 400
    assert_about(await response.json(), field)


async def test_other_bad_requests_are_refused(tenant: Tenant, token: dict[str, str]) -> None:
    batch = {"queries": [{"sensors": "alone", **DAY}]}
    assert_about(await (await ask(tenant, token, batch, "?page=1")).json(), "page")
    assert (await ask(tenant, {}, batch)).status == 401
    assert (await ask(tenant, await new_token(tenant, scopes=["users"]), batch)).status == 403
    assert (await ask(tenant, {**token, "Content-Type": "text/csv"}, batch)).status == 415
    assert (await get(tenant, "series/batch", token)).status == 405
    async with tenant.session.post(f"{tenant.base}/api/v1/series/batch", data=b"{", headers=token) as response:
        assert response.status == 415
    headers = {**token, "Content-Type": "application/json"}
    async with tenant.session.post(f"{tenant.base}/api/v1/series/batch", data=b"{", headers=headers) as response:
        assert_about(await response.json(), "body")


async def test_a_batch_counts_as_one_request(tenant: Tenant, token: dict[str, str]) -> None:
    batch = {"queries": [{"sensors": "alone", **DAY}] * 200}
    while True:
        limited = await new_token(tenant, rate_limit=3)
        answers = [await ask(tenant, limited, batch) for _ in range(4)]
        if len({answer.headers["X-RateLimit-Reset"] for answer in answers}) == 1:
            break  # otherwise a new minute began in between
    assert [answer.status for answer in answers] == [200, 200, 200, 429]
    assert [answer.headers["X-RateLimit-Remaining"] for answer in answers] == ["2", "1", "0", "0"]
    assert len((await answers[0].json())["data"]) == 200
    assert "X-RateLimit-Limit" not in (await ask(tenant, tenant.keys, batch)).headers


async def test_a_token_sees_only_the_sensors_of_its_units(tenant: Tenant, token: dict[str, str]) -> None:
    limited = await new_token(tenant, cooling_unit_ids=[7])
    batch = {"queries": [{"sensors": "t1-7", **DAY}, {"sensors": "alone", **DAY}]}
    seen, refused = (await (await ask(tenant, limited, batch)).json())["data"]
    assert seen["meta"]["pagination"]["total_count"] == 96
    assert_about(refused, "sensors")


async def test_each_batch_is_cached_separately(
    service: Service, start_service: StartService, make_tenant: MakeTenant
) -> None:
    tenant = await make_tenant(start_service(service.database_url, TIDEMARK_CACHE_SECONDS="60"))
    await cold_room(tenant)
    token, limited = await new_token(tenant), await new_token(tenant, cooling_unit_ids=[8])
    batch = {"queries": [{"sensors": "t1-7", **DAY}]}
    first, second = await ask(tenant, token, batch), await ask(tenant, token, batch)
    assert ("Age" in first.headers, "Age" in second.headers) == (False, True)
    assert await first.text() == await second.text()
    assert (await ask(tenant, {**token, "If-None-Match": first.headers["ETag"]}, batch)).status == 200
    other = await ask(tenant, token, {"queries": [{"sensors": "t1-7", **DAY, "aggregation": "daily"}]})
    assert "Age" not in other.headers
    [refused] = (await (await ask(tenant, limited, batch)).json())["data"]
    assert_about(refused, "sensors")


async def test_a_deeply_nested_question_is_refused(tenant: Tenant, token: dict[str, str]) -> None:
    nested: Any = {}
    for _ in range(500):
        nested = [nested]
    response = await ask(tenant, token, {"queries": [nested]})
    assert response.status == 400
    assert_about(await response.json(), "queries")
