"""Every figure equals a plain recomputation to the last digit, whatever was sent, replaced or deleted."""

import json
import random
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from tests.coldchain.reference import Company, Operation
from tests.conftest import MakeTenant, Service, Tenant

ENDPOINTS = ("users", "utilization", "revenue", "impact")
# Days that start at different UTC times; daylight saving time, in one zone by half an hour, in another at midnight.
ZONES = (
    ("Africa/Lagos", "NG", "NGN"),
    ("Asia/Kathmandu", None, "USD"),
    ("Australia/Lord_Howe", "AU", "AUD"),
    ("America/Santiago", "PH", "USD"),
)
OTHER_ZONE = "America/St_Johns"
ROUNDS = 3
OPERATIONS = 120
CHECKS = 2

# Around clock changes, a leap day and a turn of the year. `moment` adds the last days up to now.
STRETCHES = ((datetime(2023, 9, 1, tzinfo=UTC), 70), (datetime(2023, 12, 24, tzinfo=UTC), 75))


def moment(draw: random.Random) -> str:
    if draw.random() < 0.15:
        return (datetime.now(UTC) - timedelta(hours=draw.uniform(-20, 100))).isoformat()
    start, days = draw.choice(STRETCHES)
    at = start + timedelta(days=draw.randrange(days), minutes=15 * draw.randrange(96))
    return (at - timedelta(microseconds=draw.choice((0, 0, 1)))).isoformat()


def amount(draw: random.Random) -> Any:
    number = draw.randrange(10 ** draw.choice((2, 5, 9)))
    return draw.choice((number, number / 100, f"{number / 1000:.3f}", f"{number}.000000000000007"))


def operation(draw: random.Random, units: list[int], own_currency: str) -> Operation:
    user = {"user_id": f"user-{draw.randrange(9)}"}
    there = {**user, "cooling_unit_id": draw.choice(units)}
    crop = {"crop": draw.choice(("kale", "tomato"))}
    currency = {"currency": draw.choice((own_currency, own_currency, own_currency, "XOF"))}
    method = {"payment_method": draw.choice(("CASH", "UPI", None))}
    moved = {**there, **crop, "crates": draw.randrange(9), "weight_kg": amount(draw)}
    quantity = draw.randrange(1, 10**4)
    of_kind: dict[str, Operation] = {
        "check_in": moved,
        "check_out": {
            **moved,
            **currency,
            **method,
            "amount": amount(draw),
            "payment_status": draw.choice(("paid", "pending")),
        },
        "payment": {"check_out_id": f"op-{draw.randrange(150)}", **method},
        "user_registered": {
            **there,
            "gender": draw.choice(("female", "male", "other", None)),
            "user_type": draw.choice(("FARMER", "TRADER", None)),
        },
        "user_deactivated": user,
        "baseline_survey": {
            **there,
            **crop,
            **currency,
            "quantity_kg": quantity / 100,
            "quantity_below_market_price_kg": draw.randrange(quantity + 1) / 100,
            "price_per_kg": amount(draw),
        },
        "market_survey": {**there, **crop, **currency, "price_per_kg": amount(draw), "loss_kg": amount(draw)},
    }
    kind = draw.choices(list(of_kind), (5, 6, 2, 2, 0.3, 2, 3))[0]
    return {"id": f"op-{draw.randrange(150)}", "type": kind, "occurred_at": moment(draw), **of_kind[kind]}


async def send(tenant: Tenant, operations: list[Operation]) -> None:
    lines = "\n".join(map(json.dumps, operations)).encode()
    headers = {**tenant.keys, "Content-Type": "application/x-ndjson"}
    async with tenant.session.post(f"{tenant.base}/api/v1/operations", data=lines, headers=headers) as response:
        assert response.status == 200, await response.text()


def window(draw: random.Random) -> tuple[date, date]:
    first = draw.choice((date(2023, 9, 1), date(2023, 12, 20), datetime.now(UTC).date() - timedelta(days=9)))
    first += timedelta(days=draw.choice((0, 0, draw.randrange(40))))
    length = draw.choice((0, 6, 29, draw.randrange(200)))
    return draw.choice(((first, first + timedelta(days=length)), (first.replace(day=1), date(first.year + 1, 1, 31))))


@pytest.mark.parametrize(("zone", "country", "currency"), ZONES)
async def test_figures_are_those_of_a_plain_recomputation(
    service: Service, make_tenant: MakeTenant, zone: str, country: str | None, currency: str
) -> None:
    draw = random.Random(zone)
    tenant = await make_tenant(service)
    fields = {"timezone": zone, "country": country, "currency": currency}
    assert (await tenant.manage("PATCH", "organization", fields)).status == 200
    company = Company(country, currency, zone, {1: 40, 2: None, 3: 7})
    for unit, capacity in company.units.items():
        made = await tenant.manage("POST", "cooling-units", {"id": unit, "capacity_crates": capacity})
        assert made.status == 201
    token = await (await tenant.manage("POST", "api-tokens", {"scopes": ["admin"], "rate_limit": 100_000})).json()

    async def check() -> None:
        first, last = window(draw)
        period = draw.choice(("day", "week", "month"))
        units = draw.choice((list(company.units), [draw.choice(list(company.units))]))
        for endpoint in ENDPOINTS:
            more = {"payment_status": draw.choice(("paid", "pending", "all"))} if endpoint == "revenue" else {}
            asked = {"start_date": str(first), "end_date": str(last), "period": period, **more}
            if len(units) == 1:
                asked["cooling_unit_id"] = str(units[0])
            today = company.today()
            url = f"{tenant.base}/api/v1/analytics/{endpoint}"
            headers = {"Authorization": f"Bearer {token['token']}"}
            async with tenant.session.get(url, params=asked, headers=headers) as response:
                assert response.status == 200, await response.text()
                found = (await response.json())["data"]
            if company.today() == today:
                assert found == company.answer(endpoint, units, first, last, period, **more), (endpoint, asked)

    for number in range(ROUNDS):
        for _ in range(3):
            batch = [operation(draw, list(company.units), currency) for _ in range(OPERATIONS // 3)]
            await send(tenant, batch)
            company.operations.update({one["id"]: one for one in batch})
            await send(tenant, draw.sample(list(company.operations.values()), 5))  # sent again, which changes nothing
            for _ in range(CHECKS):
                await check()
        if number == 1:
            company.timezone = OTHER_ZONE
            assert (await tenant.manage("PATCH", "organization", {"timezone": OTHER_ZONE})).status == 200
            await check()
        if number == 2:
            assert (await tenant.manage("DELETE", "cooling-units/3")).status == 204
            del company.units[3]
            company.operations = {
                key: one for key, one in company.operations.items() if one.get("cooling_unit_id") != 3
            }
            await check()
