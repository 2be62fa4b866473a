"""The four analytics endpoints: envelope, periods, filters, restricted tokens, and worked examples."""

from typing import Any

import pytest
from aiohttp import ClientResponse

from tests.coldchain.test_operations import example, send
from tests.conftest import Service, StartService, Tenant

ENDPOINTS = ("users", "utilization", "revenue", "impact")
WINDOW = {"start_date": "2026-01-01", "end_date": "2026-01-31"}
PAGE = {"page": 1, "page_size": 100, "total_count": 0, "total_pages": 0, "has_next": False, "has_previous": False}
NOTHING: dict[str, dict[str, Any]] = {
    "users": {
        "registered_users": 0,
        "active_users": 0,
        "new_signups": 0,
        "active_by_gender": {"female": 0, "male": 0, "other": 0},
        "active_by_type": {"FARMER": 0, "TRADER": 0, "unspecified": 0},
    },
    "utilization": {
        "utilization_rate": 0.0,
        "check_ins": 0,
        "check_outs": 0,
        "crates_in": 0,
        "crates_out": 0,
        "kg_in": 0.0,
        "kg_out": 0.0,
        "crates_stored": 0,
        "kg_stored": 0.0,
        "capacity_crates": 10,
        "capacity_kg": 99.5,
    },
    "revenue": {"currency_totals": []},
    "impact": {
        "food_loss_prevented_kg": None,
        "income_increase": None,
        "currency": "USD",
        "baseline_loss_pct": None,
        "current_loss_pct": None,
        "co2_avoided_kg": None,
        "community_served": 0.0,
        "survey_count": 0,
    },
}


async def unit(tenant: Tenant, **fields: Any) -> int:
    made = await tenant.manage("POST", "cooling-units", {"capacity_crates": 10, "capacity_kg": 99.5, **fields})
    return int((await made.json())["id"])


async def ask(tenant: Tenant, endpoint: str, **parameters: Any) -> Any:
    response = await tenant.manage("GET", f"analytics/{endpoint}", **{**WINDOW, **parameters})
    assert response.status == 200, await response.text()
    return await response.json()


async def refusal(response: ClientResponse, status: int = 400) -> Any:
    assert response.status == status, await response.text()
    return (await response.json())["error"]


@pytest.mark.parametrize("endpoint", ENDPOINTS)
async def test_the_envelope_and_a_unit_without_activity(tenant: Tenant, endpoint: str) -> None:
    answer = await ask(tenant, endpoint, period="week")
    assert answer == {
        "data": [],
        "meta": {"company_id": tenant.company_id, "filters": {**WINDOW, "period": "week"}, "pagination": PAGE},
    }
    number = await unit(tenant)
    answer = await ask(tenant, endpoint, cooling_unit_id=number, page=1, page_size=5)
    month = {"period_start": "2026-01-01", "period_end": "2026-01-31", **NOTHING[endpoint]}
    assert answer["data"] == [{"cooling_unit_id": number, **NOTHING[endpoint], "trends": [month]}]
    assert answer["meta"]["filters"] == {**WINDOW, "cooling_unit_id": number}
    assert answer["meta"]["pagination"] == {**PAGE, "page_size": 5, "total_count": 1, "total_pages": 1}


async def test_periods_are_clipped_to_the_window(tenant: Tenant) -> None:
    await unit(tenant)
    window = {"start_date": "2025-12-30", "end_date": "2026-02-02"}

    async def periods(**period: str) -> list[tuple[str, str]]:
        [item] = (await ask(tenant, "users", **window, **period))["data"]
        return [(one["period_start"], one["period_end"]) for one in item["trends"]]

    months = [("2025-12-30", "2025-12-31"), ("2026-01-01", "2026-01-31"), ("2026-02-01", "2026-02-02")]
    assert await periods() == await periods(period="month") == months
    weeks = await periods(period="week")
    assert weeks[:2] == [("2025-12-30", "2026-01-04"), ("2026-01-05", "2026-01-11")]
    assert weeks[-1] == ("2026-02-02", "2026-02-02")
    days = await periods(period="day")
    assert (len(days), days[0]) == (35, ("2025-12-30", "2025-12-30"))


@pytest.mark.parametrize("endpoint", ENDPOINTS)
async def test_parameters_that_cannot_be_used(tenant: Tenant, endpoint: str) -> None:
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"start_date": ""}, "start_date"),
        ({"end_date": "2026-02-30"}, "end_date"),
        ({"end_date": "2025-12-31"}, "end_date"),
        ({"end_date": "2031-01-02"}, "end_date"),
        ({"cooling_unit_id": "x"}, "cooling_unit_id"),
        ({"cooling_unit_id": "77"}, "cooling_unit_id"),
        ({"location_id": "77"}, "location_id"),
        ({"page": "0"}, "page"),
        ({"page_size": "1001"}, "page_size"),
        ({"colour": "red"}, "colour"),
    ]
    for parameters, field in wrong:
        response = await tenant.manage("GET", f"analytics/{endpoint}", **{**WINDOW, **parameters})
        error = await refusal(response)
        assert (error["code"], error["details"]) == ("invalid_request", {"field": field})
    error = await refusal(await tenant.manage("GET", f"analytics/{endpoint}", **WINDOW, period="year"))
    assert error == {
        "code": "invalid_request",
        "message": "period must be one of day, week, or month.",
        "details": {"field": "period"},
    }


async def test_tokens_see_what_they_are_for(tenant: Tenant, service: Service, start_service: StartService) -> None:
    await tenant.manage("POST", "locations", {"id": 5})
    mine, other = await unit(tenant, location_id=5), await unit(tenant)
    tokens = []
    for fields in ({"scopes": ["users"]}, {"scopes": ["users"], "cooling_unit_ids": [mine]}, {"scopes": ["revenue"]}):
        made = await tenant.manage("POST", "api-tokens", {**fields, "rate_limit": 6})
        tokens.append((await made.json())["token"])
    cached = start_service(service.database_url, TIDEMARK_CACHE_SECONDS="60")

    async def response(token: str, **parameters: Any) -> ClientResponse:
        headers = {"Authorization": f"Bearer {token}"}
        url = f"{cached.base}/api/v1/analytics/users"
        async with tenant.session.get(url, params={**WINDOW, **parameters}, headers=headers) as found:
            await found.read()
        return found

    async def seen(token: str, **parameters: Any) -> list[int]:
        found = await response(token, **parameters)
        assert found.status == 200
        return [one["cooling_unit_id"] for one in (await found.json())["data"]]

    everything, one, revenue = tokens
    assert await seen(everything) == [mine, other]  # and what is cached for one token is not returned to another
    assert await seen(one) == [mine]
    assert await seen(everything, location_id=5) == await seen(one, location_id=5) == [mine]
    assert await seen(everything, page=2, page_size=1) == [other]
    error = await refusal(await response(one, cooling_unit_id=other))
    assert error["details"] == {"field": "cooling_unit_id"}
    assert error["message"] == (await refusal(await response(one, cooling_unit_id=999)))["message"].replace(
        "999", str(other)
    )
    assert (await refusal(await response(revenue), 403))["code"] == "insufficient_scope"
    found = await response(one)
    assert (found.headers["X-RateLimit-Limit"], found.headers["X-RateLimit-Remaining"]) == ("6", "1")
    statuses = [(await response(one)).status for _ in range(8)]
    assert 429 in statuses


async def test_payment_status_selects_what_total_revenue_sums(tenant: Tenant) -> None:
    number = await unit(tenant)
    at = {"occurred_at": "2026-01-05T12:00:00Z", "cooling_unit_id": number}
    fees = [
        example("check_out", id="a", **at, amount="0.1", payment_status="paid", payment_method="CASH"),
        example("check_out", id="b", **at, amount="0.2", payment_status="paid"),
        example("check_out", id="c", **at, amount="0.7", payment_status="pending", payment_method="USSD"),
        example("check_out", id="d", **at, amount=5, currency="NGN", payment_status="pending"),
    ]
    assert (await send(tenant, fees)).status == 200

    async def totals(**status: str) -> Any:
        [item] = (await ask(tenant, "revenue", **status))["data"]
        assert item["trends"][0]["currency_totals"] == item["currency_totals"]
        return item["currency_totals"]

    def method(name: str, amount: float) -> dict[str, Any]:
        return {"payment_method": name, "amount": amount, "count": 1}

    naira, dollars = await totals()
    assert naira == {
        "currency": "NGN",
        "total_revenue": 5.0,
        "paid_revenue": 0.0,
        "pending_revenue": 5.0,
        "paid_count": 0,
        "pending_count": 1,
        "payment_methods": [method("UNKNOWN", 5.0)],
    }
    both = {"currency": "USD", "paid_revenue": 0.3, "pending_revenue": 0.7, "paid_count": 2, "pending_count": 1}
    methods = [method("CASH", 0.1), method("UNKNOWN", 0.2), method("USSD", 0.7)]
    assert dollars == {**both, "total_revenue": 1.0, "payment_methods": methods}
    assert (await totals(payment_status="paid"))[1] == {**both, "total_revenue": 0.3, "payment_methods": methods[:2]}
    assert (await totals(payment_status="pending"))[1] == {**both, "total_revenue": 0.7, "payment_methods": methods[2:]}
    error = await refusal(await tenant.manage("GET", "analytics/revenue", **WINDOW, payment_status="open"))
    assert error["details"] == {"field": "payment_status"}
    error = await refusal(await tenant.manage("GET", "analytics/users", **WINDOW, payment_status="paid"))
    assert error["details"] == {"field": "payment_status"}


async def test_the_worked_example_of_impact(tenant: Tenant) -> None:
    number = await unit(tenant)
    await tenant.manage("PATCH", "organization", {"country": "NG"})
    at = {"occurred_at": "2026-01-05T12:00:00Z", "cooling_unit_id": number}
    operations = [
        example("check_out", **at, weight_kg=150),
        example("market_survey", **at),
        example("baseline_survey", **{**at, "occurred_at": "2026-01-31T23:00:00Z"}),
    ]
    assert (await send(tenant, operations)).status == 200
    [item] = (await ask(tenant, "impact"))["data"]
    assert round(item["food_loss_prevented_kg"], 6) == -8.567755
    assert item["income_increase"] == 18000.0
    assert item["current_loss_pct"] == 20.0
    assert round(item["baseline_loss_pct"], 6) == round(100 * 16.67 / 116.67, 6)
    assert round(item["co2_avoided_kg"], 6) == round(-8.5677552 * 0.21268517, 6)
    assert (item["community_served"], item["survey_count"], item["currency"]) == (4.7, 1, "USD")
    # Operations outside the window do not count, but the month's price and baseline stay the same.
    [item] = (await ask(tenant, "impact", start_date="2026-01-06"))["data"]
    assert (item["food_loss_prevented_kg"], item["survey_count"], item["current_loss_pct"]) == (0.0, 1, None)
    # If the organization's currency changes, no survey is usable.
    await tenant.manage("PATCH", "organization", {"currency": "NGN"})
    [item] = (await ask(tenant, "impact"))["data"]
    assert (item["food_loss_prevented_kg"], item["survey_count"], item["currency"]) == (None, 0, "NGN")


async def test_stock_counts_at_the_end_of_each_day_until_today(tenant: Tenant) -> None:
    number = await unit(tenant)
    there = {"cooling_unit_id": number}
    operations = [
        example("check_in", id="1", **there, occurred_at="2025-12-31T12:00:00Z", crates=4, weight_kg="0.1"),
        example("check_in", id="2", **there, occurred_at="2026-01-03T12:00:00Z", crates=10, weight_kg="0.2"),
        example("check_out", id="3", **there, occurred_at="2026-01-04T12:00:00Z", crates=2, weight_kg="0.3"),
    ]
    assert (await send(tenant, operations)).status == 200
    [item] = (await ask(tenant, "utilization", end_date="2026-01-04", period="day"))["data"]
    assert [one["utilization_rate"] for one in item["trends"]] == [40.0, 40.0, 140.0, 120.0]
    assert item["utilization_rate"] == 85.0
    assert (item["crates_stored"], item["kg_stored"]) == (12, 0.0)
    [item] = (await ask(tenant, "utilization", start_date="2990-01-01", end_date="2990-01-02"))["data"]
    assert (item["utilization_rate"], item["crates_stored"]) == (None, 12)
