"""`POST /api/v1/operations`: what is accepted, what is rejected and why, and that the same id replaces."""

import asyncio
import gzip
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest
import zstandard
from aiohttp import ClientResponse

from tests.conftest import MakeTenant, Service, StartService, Tenant

Operation = dict[str, Any]
URL = "/api/v1/operations"

AT = {"occurred_at": "2024-01-10T08:00:00Z"}
WHO = {"user_id": "user-1", "cooling_unit_id": 1}
MOVED = {**WHO, "crop": "kale", "crates": 2, "weight_kg": 20.5}
EXAMPLES: dict[str, Operation] = {
    "user_registered": {**AT, **WHO, "gender": "female", "user_type": "FARMER"},
    "user_deactivated": {**AT, "user_id": "user-1"},
    "check_in": {**AT, **MOVED},
    "check_out": {
        **AT,
        **MOVED,
        "amount": "3.10",
        "currency": "USD",
        "payment_status": "pending",
        "payment_method": None,
    },
    "payment": {**AT, "check_out_id": "check_out", "payment_method": "UPI"},
    "baseline_survey": {
        **AT,
        **WHO,
        "crop": "kale",
        "quantity_kg": 116.67,
        "quantity_below_market_price_kg": 16.67,
        "price_per_kg": 100,
        "currency": "USD",
    },
    "market_survey": {**AT, **WHO, "crop": "kale", "price_per_kg": 250, "loss_kg": 30, "currency": "USD"},
}


def example(kind: str, **changed: Any) -> Operation:
    """An operation of a type, with some fields changed; fields changed to `...` are omitted."""
    document = {"id": kind, "type": kind, **EXAMPLES[kind], **changed}
    return {name: value for name, value in document.items() if value is not ...}


async def with_unit(tenant: Tenant, **fields: Any) -> Tenant:
    assert (await tenant.manage("POST", "cooling-units", {"id": 1, **fields})).status == 201
    return tenant


async def send(
    tenant: Tenant, body: Any, media_type: str = "application/json", headers: dict[str, str] | None = None
) -> ClientResponse:
    data = json.dumps(body).encode() if isinstance(body, list) else body
    all_headers = {**tenant.keys, "Content-Type": media_type, **(headers or {})}
    async with tenant.session.post(f"{tenant.base}{URL}", data=data, headers=all_headers) as response:
        await response.read()
    return response


async def figures(tenant: Tenant, endpoint: str) -> Any:
    """The unit's figures of 2024."""
    answer = await tenant.manage("GET", f"analytics/{endpoint}", start_date="2024-01-01", end_date="2024-12-31")
    assert answer.status == 200, await answer.text()
    return (await answer.json())["data"][0]


async def test_every_type_is_taken_in_any_order_and_a_repeat_changes_nothing(tenant: Tenant) -> None:
    await with_unit(tenant)
    for _ in range(2):
        response = await send(tenant, [example(kind) for kind in reversed(EXAMPLES)])
        assert response.status == 200
        assert await response.json() == {"accepted": 7, "rejected": 0, "errors": []}
    fees = (await figures(tenant, "revenue"))["currency_totals"]
    assert [(one["total_revenue"], one["paid_count"], one["payment_methods"]) for one in fees] == [
        (3.1, 1, [{"payment_method": "UPI", "amount": 3.1, "count": 1}])
    ]
    assert (await figures(tenant, "impact"))["survey_count"] == 1


async def test_the_same_id_replaces_the_operation_its_time_and_type_included(tenant: Tenant) -> None:
    await with_unit(tenant)
    await send(tenant, [example("check_in", id="x", crates=5)])
    assert (await figures(tenant, "utilization"))["crates_in"] == 5
    await send(tenant, [example("check_out", id="x", occurred_at="2024-06-30T23:00:00-05:00", crates=1)])
    found = await figures(tenant, "utilization")
    assert (found["check_ins"], found["check_outs"], found["crates_stored"]) == (0, 1, -1)
    assert [one["period_start"] for one in found["trends"] if one["check_outs"]] == ["2024-07-01"]
    # Within a body, the last one wins.
    await send(tenant, [example("check_in", id="x", crates=number) for number in (1, 7, 3)])
    assert (await figures(tenant, "utilization"))["crates_in"] == 3


async def test_concurrent_writers_of_one_id_leave_one_of_them(tenant: Tenant) -> None:
    await with_unit(tenant)
    bodies = [
        [example("check_in", id=f"x{number}", crates=crates, weight_kg=crates) for number in range(50)]
        for crates in range(1, 9)
    ]
    responses = await asyncio.gather(*(send(tenant, body) for body in bodies))
    assert {response.status for response in responses} == {200}
    found = await figures(tenant, "utilization")
    assert found["check_ins"] == 50
    assert found["crates_in"] == found["kg_in"]


@pytest.mark.parametrize(
    ("kind", "changed", "field", "words"),
    [
        ("check_in", {"cooling_unit_id": 2}, "cooling_unit_id", "There is no cooling unit 2."),
        ("check_in", {"cooling_unit_id": 0}, "cooling_unit_id", "whole number from 1"),
        ("check_in", {"cooling_unit_id": ...}, "cooling_unit_id", "is missing"),
        ("check_in", {"id": ...}, "id", "is missing"),
        ("check_in", {"id": " "}, "id", "not empty"),
        ("check_in", {"id": "x" * 201}, "id", "at most 200"),
        ("check_in", {"id": "a\0b"}, "id", "control characters"),
        ("check_in", {"type": "checkin"}, "type", "one of user_registered"),
        ("check_in", {"type": ["check_in"]}, "type", "one of"),
        ("check_in", {"occurred_at": ...}, "occurred_at", "is missing"),
        ("check_in", {"occurred_at": "soon"}, "occurred_at", "ISO 8601"),
        ("check_in", {"occurred_at": "1969-12-31T23:59:59Z"}, "occurred_at", "An operation cannot be older"),
        ("check_in", {"occurred_at": "2999-01-01T00:00:00Z"}, "occurred_at", "a day ahead"),
        ("check_in", {"user_id": None}, "user_id", "must not be null"),
        ("check_in", {"crop": 5}, "crop", "text"),
        ("check_in", {"crates": 1.5}, "crates", "whole number"),
        ("check_in", {"crates": -1}, "crates", "negative"),
        ("check_in", {"crates": True}, "crates", "number"),
        ("check_in", {"weight_kg": "NaN"}, "weight_kg", "written like"),
        ("check_in", {"weight_kg": 1e300}, "weight_kg", "before the point"),
        ("check_in", {"weight_kg": 1e-300}, "weight_kg", "after it"),
        ("check_in", {"weight_kg": 0.1 + 0.2}, "weight_kg", "send it as text"),
        ("check_in", {"wieght": 5}, "wieght", "Operations have no field"),
        ("check_in", {"wieght": None}, "wieght", "Operations have no field"),
        ("check_out", {"amount": "1,50"}, "amount", "written like"),
        ("check_out", {"amount": -0.5}, "amount", "negative"),
        ("check_out", {"currency": "dollars"}, "currency", "three letters"),
        ("check_out", {"payment_status": None}, "payment_status", "null"),
        ("check_out", {"payment_status": "open"}, "payment_status", "paid or pending"),
        ("check_out", {"payment_method": "cash"}, "payment_method", "CASH"),
        ("payment", {"check_out_id": ...}, "check_out_id", "is missing"),
        ("user_registered", {"gender": "F"}, "gender", "female, male, other, or null"),
        ("user_registered", {"user_type": "farmer"}, "user_type", "FARMER"),
        ("baseline_survey", {"quantity_kg": 0}, "quantity_kg", "greater than 0"),
        ("baseline_survey", {"quantity_below_market_price_kg": 117}, "quantity_below_market_price_kg", "exceed"),
        ("market_survey", {"loss_kg": {}}, "loss_kg", "number"),
    ],
)
async def test_a_field_that_cannot_be_used_is_named(
    tenant: Tenant, kind: str, changed: Operation, field: str, words: str
) -> None:
    await with_unit(tenant)
    response = await send(tenant, [example(kind, **changed), example("check_in", id="good")])
    assert response.status == 207
    answer = await response.json()
    assert (answer["accepted"], answer["rejected"]) == (1, 1)
    [error] = answer["errors"]
    assert (error["index"], error["field"]) == (0, field)
    assert words in error["message"]
    assert (await send(tenant, [example(kind, **changed)])).status == 422


async def test_no_digit_of_a_number_is_lost(tenant: Tenant) -> None:
    await with_unit(tenant)
    whole = json.dumps([example("check_in", id=str(number), weight_kg=777 + number) for number in range(3)]).encode()
    for number, text in enumerate((b"1.00000000000000000001", b"1e9999999999999999999999", b"1.50000000000000000000")):
        whole = whole.replace(b"%d" % (777 + number), text)
    response = await send(tenant, whole)
    answer = await response.json()
    assert [(one["index"], one["field"]) for one in answer["errors"]] == [(0, "weight_kg"), (1, "")]
    assert (await figures(tenant, "utilization"))["kg_in"] == 1.5


async def test_numbers_and_nulls_that_are_taken(tenant: Tenant) -> None:
    await with_unit(tenant)
    good = [
        example("check_out", id=1, amount=0.1, user_id=7, crop="Ñame 🥔"),
        example("check_out", id=2, amount="0.2", currency="usd", payment_method=...),
        example("check_out", id=3, amount="123456789012345.000000000000001"),
        example("check_out", id=4, amount=12345678901234.5, crates="3", quantity_kg=None, loss_kg="any"),
        example("user_registered", gender=None, user_type=...),
    ]
    assert (await send(tenant, good)).status == 200
    [fees] = (await figures(tenant, "revenue"))["currency_totals"]
    assert fees["total_revenue"] == float("135802467913579.800000000000001")


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"{}", 400),
        (b"[", 400),
        (b"\xff", 400),
        (b"[1]", 422),
        (b"[" * 100_000, 400),
        (b"[]", 200),
        (b'[{"a":' * 2000 + b"1" + b"}]" * 2000, 400),
    ],
)
async def test_bodies_that_are_no_arrays_of_operations(tenant: Tenant, body: bytes, status: int) -> None:
    response = await send(tenant, body)
    assert response.status in (status, 422 if status == 400 else status), await response.text()
    assert response.status < 500


async def test_at_most_a_hundred_errors_are_listed_of_lines_that_stream_compressed(tenant: Tenant) -> None:
    await with_unit(tenant)
    lines = [example("check_in", id=f"x{number}", cooling_unit_id=1 + number % 2) for number in range(8000)]
    body = "\r\n\n".join(map(json.dumps, lines)).encode()
    for encoding, compress in (("gzip", gzip.compress), ("zstd", zstandard.ZstdCompressor().compress)):
        headers = {"Content-Encoding": encoding}
        response = await send(tenant, compress(body), "application/x-ndjson", headers)
        answer = await response.json()
        assert (response.status, answer["accepted"], answer["rejected"]) == (207, 4000, 4000)
        assert [error["index"] for error in answer["errors"]] == list(range(1, 200, 2))
    assert (await figures(tenant, "utilization"))["check_ins"] == 4000
    assert (await send(tenant, b"x", "text/csv")).status == 415


async def test_lines_are_stored_as_they_come_and_arrays_have_a_limit(
    service: Service, start_service: StartService, make_tenant: MakeTenant
) -> None:
    small = start_service(service.database_url, TIDEMARK_MAX_BODY="100000")
    tenant = await with_unit(await make_tenant(small))
    operations = [example("check_in", id=f"x{number}") for number in range(4000)]
    assert (await send(tenant, operations)).status == 413

    async def lines() -> AsyncIterator[bytes]:
        for one in operations:
            yield json.dumps(one).encode() + b"\n"

    headers = {**tenant.keys, "Content-Type": "application/x-ndjson"}
    async with tenant.session.post(f"{tenant.base}{URL}", data=lines(), headers=headers) as response:
        assert response.status == 200
        assert (await response.json())["accepted"] == 4000


async def test_who_may_send(tenant: Tenant, service: Service, make_tenant: MakeTenant) -> None:
    await with_unit(tenant)
    await tenant.manage("POST", "cooling-units", {"id": 2})
    body = [example("check_in"), example("check_in", id="other", cooling_unit_id=2)]
    tokens = {}
    for name, fields in {
        "ingest": {"scopes": ["ingest"]},
        "one unit": {"scopes": ["ingest"], "cooling_unit_ids": [2]},
        "users": {"scopes": ["users"]},
    }.items():
        tokens[name] = (await (await tenant.manage("POST", "api-tokens", fields)).json())["token"]

    async def status(token: str) -> int:
        headers = {"Authorization": f"Bearer {token}"}
        async with tenant.session.post(f"{tenant.base}{URL}", json=body, headers=headers) as response:
            return response.status

    assert [await status(tokens[name]) for name in ("ingest", "one unit", "users")] == [200, 207, 403]
    assert await status("wrong") == 401
    # Neither of two tenants changes the other's operations.
    other = await with_unit(await make_tenant(service))
    assert (await send(other, [example("check_in", crates=9)])).status == 200
    assert (await figures(tenant, "utilization"))["crates_in"] == 2


async def token_for(tenant: Tenant, *units: int) -> dict[str, str]:
    """The headers of a token that may send operations for these cooling units only."""
    fields = {"scopes": ["ingest"], "cooling_unit_ids": list(units)}
    made = await (await tenant.manage("POST", "api-tokens", fields)).json()
    return {"Authorization": f"Bearer {made['token']}"}


async def errors(tenant: Tenant, body: Any, headers: dict[str, str], accepted: int) -> list[tuple[int, str, str]]:
    """Send operations with a token; returns index, field and message of those that were rejected."""
    async with tenant.session.post(f"{tenant.base}{URL}", json=body, headers=headers) as response:
        answer = await response.json()
    assert (answer["accepted"], answer["rejected"]) == (accepted, len(body) - accepted), answer
    assert response.status == (200 if accepted == len(body) else 207 if accepted else 422)
    return [(one["index"], one["field"], one["message"]) for one in answer["errors"]]


async def fees(tenant: Tenant, unit: int) -> tuple[int, int]:
    """How many fees of a unit are paid, and how many are pending, in 2024."""
    asked = {"start_date": "2024-01-01", "end_date": "2024-12-31", "cooling_unit_id": str(unit)}
    [found] = (await (await tenant.manage("GET", "analytics/revenue", **asked)).json())["data"]
    [totals] = found["currency_totals"] or [{"paid_count": 0, "pending_count": 0}]
    return totals["paid_count"], totals["pending_count"]


async def test_a_token_for_some_cooling_units_changes_nothing_of_others(tenant: Tenant) -> None:
    await with_unit(tenant)
    await tenant.manage("POST", "cooling-units", {"id": 2})
    nobodys = [example("user_deactivated", id="gone"), example("payment", id="early", check_out_id="later")]
    assert (
        await send(tenant, [example("check_in", id="theirs"), example("check_out", id="fee"), *nobodys])
    ).status == 200
    mine = await token_for(tenant, 2)
    body = [
        example("check_in", id="theirs", cooling_unit_id=2),
        example("payment", check_out_id="fee"),
        example("user_deactivated", id="fee"),
        example("user_deactivated"),
        example("payment", id="too early", check_out_id="not there yet"),
        example("check_in", id="gone", cooling_unit_id=2),
        example("check_in", id="early", cooling_unit_id=2),
        example("payment", id="theirs", check_out_id="mine"),
        example("check_out", id="mine", cooling_unit_id=2),
        example("payment", id="of a check-in", check_out_id="mine too"),
        example("check_in", id="mine too", cooling_unit_id=2),
    ]
    elsewhere = "The stored operation with this id does not belong to the token's cooling units."
    # The same for a check-out of another unit as for an unknown one: otherwise the token would learn which ids exist.
    no_check_out = (
        "No check-out with this id belongs to the token's cooling units. Send the check-out first, then this payment."
    )
    everywhere = "A deactivation applies to all cooling units, but this token is limited to some of them."
    assert await errors(tenant, body, mine, accepted=2) == [
        (0, "id", elsewhere),
        (1, "check_out_id", no_check_out),
        (2, "type", everywhere),
        (3, "type", everywhere),
        (4, "check_out_id", no_check_out),
        (5, "id", elsewhere),
        (6, "id", elsewhere),
        (7, "id", elsewhere),
        (9, "check_out_id", no_check_out),
    ]
    assert (await figures(tenant, "utilization"))["check_ins"] == 1
    assert [await fees(tenant, unit) for unit in (1, 2)] == [(0, 1), (0, 1)]
    # A rejected payment is not kept: it does not pay for a check-out that arrives later.
    assert (await send(tenant, [example("check_out", id="not there yet")])).status == 200
    assert await fees(tenant, 1) == (0, 2)


async def test_a_token_for_some_cooling_units_pays_their_check_outs(tenant: Tenant) -> None:
    await with_unit(tenant)
    await tenant.manage("POST", "cooling-units", {"id": 2})
    mine = await token_for(tenant, 2)
    body = [
        example("payment", id="p1", check_out_id="fee 1"),
        example("check_out", id="fee 1", cooling_unit_id=2),
        example("check_out", id="fee 2", cooling_unit_id=2),
    ]
    for _ in range(2):  # a retry is accepted as well
        assert await errors(tenant, body, mine, accepted=3) == []
    assert await fees(tenant, 2) == (1, 1)
    assert await errors(tenant, [example("payment", id="p1", check_out_id="fee 2")], mine, accepted=1) == []
    assert await fees(tenant, 2) == (1, 1)
    # If the check-out moves to a unit that is not in the token's list, it is pending there; moved back, it is paid.
    for unit, moved in ((1, [(0, 1), (0, 1)]), (2, [(0, 0), (1, 1)])):
        assert (await send(tenant, [example("check_out", id="fee 2", cooling_unit_id=unit)])).status == 200
        assert [await fees(tenant, one) for one in (1, 2)] == moved
    # A payment from a sender without such a limit applies wherever the check-out moves.
    paid = [example("payment", check_out_id="fee 2"), example("check_out", id="fee 2", cooling_unit_id=1)]
    assert (await send(tenant, paid)).status == 200
    assert [await fees(tenant, one) for one in (1, 2)] == [(1, 0), (0, 1)]


async def test_concurrent_senders_hear_what_was_refused_of_their_own(tenant: Tenant) -> None:
    await with_unit(tenant)
    await tenant.manage("POST", "cooling-units", {"id": 2})
    mine, count = await token_for(tenant, 2), 40
    assert (await send(tenant, [example("check_in", id=f"theirs {n}") for n in range(count)])).status == 200

    async def restricted(number: int) -> None:
        body = [
            example("check_in", id=f"mine {number}", cooling_unit_id=2),
            example("check_in", id=f"theirs {number}", cooling_unit_id=2),
            example("check_in", id=f"mine too {number}", cooling_unit_id=2),
        ]
        assert [one[:2] for one in await errors(tenant, body, mine, accepted=2)] == [(1, "id")]

    async def racing(number: int) -> None:
        # Accepted or rejected depending on who is first, but never with an effect on the check-out of the other unit.
        body = [
            example("check_out", id=f"fee {number}", cooling_unit_id=2),
            example("payment", id=f"payment {number}", check_out_id=f"fee {number}"),
        ]
        async with tenant.session.post(f"{tenant.base}{URL}", json=body, headers=mine) as response:
            assert (response.status, (await response.json())["accepted"]) in ((200, 2), (422, 0))

    async def unrestricted(number: int) -> None:
        response = await send(tenant, [example("check_out", id=f"fee {number}"), example("check_in", id=f"x{number}")])
        assert (response.status, (await response.json())["accepted"]) == (200, 2)

    await asyncio.gather(*(one(number) for number in range(count) for one in (restricted, racing, unrestricted)))
    assert [await fees(tenant, unit) for unit in (1, 2)] == [(0, count), (0, 0)]
    assert (await figures(tenant, "utilization"))["check_ins"] == 2 * count


async def test_no_company_waits_for_another_that_is_locked(
    tenant: Tenant, service: Service, make_tenant: MakeTenant
) -> None:
    await with_unit(tenant)
    other = await with_unit(await make_tenant(service))
    connection = await asyncpg.connect(tenant.database_url)
    transaction = connection.transaction()
    await transaction.start()
    await connection.execute("SELECT pg_advisory_xact_lock(7463006, $1)", tenant.company_id)
    waiting = asyncio.create_task(send(tenant, [example("check_in")]))
    waiting_too = asyncio.create_task(send(tenant, [example("check_in", id="second")]))
    try:
        for number in range(5):
            assert (await send(other, [example("check_in", id=f"x{number}")])).status == 200
        assert not waiting.done()
    finally:
        await transaction.rollback()
        await connection.close()
    assert [response.status for response in await asyncio.gather(waiting, waiting_too)] == [200, 200]
    assert (await figures(tenant, "utilization"))["check_ins"] == 2


async def test_an_operation_that_moves_to_a_unit_while_that_is_deleted_is_gone_with_it(tenant: Tenant) -> None:
    await with_unit(tenant)
    await tenant.manage("POST", "cooling-units", {"id": 2})
    await send(tenant, [example("check_in", id="x")])
    connection = await asyncpg.connect(tenant.database_url)
    transaction = connection.transaction()
    await transaction.start()
    await connection.execute("DELETE FROM asset WHERE company_id = $1 AND id = 2", tenant.company_id)
    moving = asyncio.create_task(send(tenant, [example("check_in", id="x", cooling_unit_id=2)]))
    watcher = await asyncpg.connect(tenant.database_url)
    while not await watcher.fetchval(
        "SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND NOT granted)"
    ):
        assert not moving.done()
    await transaction.commit()
    assert (await moving).status == 200
    assert (await figures(tenant, "utilization"))["check_ins"] == 0
    assert (await send(tenant, [example("check_in", id="x")])).status == 200
    assert (await figures(tenant, "utilization"))["check_ins"] == 1
    await watcher.close()
    await connection.close()


async def test_deleting_a_cooling_unit_deletes_its_operations(tenant: Tenant) -> None:
    await with_unit(tenant)
    await send(tenant, [example(kind) for kind in EXAMPLES])
    assert (await tenant.manage("DELETE", "cooling-units/1")).status == 204
    await with_unit(tenant)
    for endpoint, field in (("users", "registered_users"), ("utilization", "check_ins"), ("impact", "survey_count")):
        assert (await figures(tenant, endpoint))[field] == 0
    assert (await figures(tenant, "revenue"))["currency_totals"] == []


async def test_too_much_pending_work_is_refused(
    service: Service, start_service: StartService, make_tenant: MakeTenant
) -> None:
    tight = start_service(service.database_url, TIDEMARK_MAX_PENDING="1")
    tenant = await with_unit(await make_tenant(tight))
    now = datetime.now(UTC)

    async def one(number: int) -> ClientResponse:
        at = (now - timedelta(seconds=number)).isoformat()
        return await send(tenant, [example("check_in", id=f"x{number}", occurred_at=at)])

    responses = await asyncio.gather(*(one(number) for number in range(40)))
    statuses = [response.status for response in responses]
    assert set(statuses) == {200, 503}
    refused = next(response for response in responses if response.status == 503)
    assert "operations" in (await refused.json())["error"]["message"]
    assert refused.headers["Retry-After"] == "1"
    asked = {"start_date": str((now - timedelta(days=2)).date()), "end_date": str(now.date())}
    stored = (await (await tenant.manage("GET", "analytics/utilization", **asked)).json())["data"][0]
    assert stored["check_ins"] == statuses.count(200)
