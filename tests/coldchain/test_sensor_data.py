"""`GET /api/v1/sensor-data`, as documented in docs/cold-chain-api.md."""

from typing import Any

import pytest

from tests.catalog.test_management import make
from tests.coldchain.requests import assert_about, cold_room, get, items, new_token, store
from tests.conftest import MakeTenant, Service, StartService, Tenant

JANUARY = {"cooling_unit_id": 7, "start_date": "2026-01-01", "end_date": "2026-01-31"}


@pytest.fixture
async def token(tenant: Tenant) -> dict[str, str]:
    """A token, and a unit with readings of both types around the first and the last midnight of January."""
    await cold_room(tenant)
    await store(
        tenant,
        [
            ("t1-7", "2025-12-31T23:59:59.999999Z", 100),
            ("t1-7", "2026-01-01T00:00:00Z", 1),
            ("t2-7", "2026-01-01T00:30:00Z", 2),
            ("t2-7", "2026-01-01T00:30:00.000001Z", 6),
            ("h1-7", "2026-01-01T00:30:00Z", 80),
            ("x1-7", "2026-01-01T00:30:00Z", -1),
            ("t1-7", "2026-01-01T02:00:00Z", 5),
            ("h1-7", "2026-01-31T23:59:59.999999Z", 90),
            ("h1-7", "2026-02-01T00:00:00Z", 100),
        ],
    )
    return await new_token(tenant)


async def test_raw_readings_are_ordered_by_time_then_type(tenant: Tenant, token: dict[str, str]) -> None:
    answer = await (await get(tenant, "sensor-data", token, **JANUARY)).json()
    assert [
        (item["timestamp"], item["specification_type"], item["sensor_id"], item["value"]) for item in answer["data"]
    ] == [
        ("2026-01-01T00:00:00.000000Z", "TEMPERATURE", "t1-7", 1.0),
        ("2026-01-01T00:30:00.000000Z", "HUMIDITY", "h1-7", 80.0),
        ("2026-01-01T00:30:00.000000Z", "TEMPERATURE", "t2-7", 2.0),
        ("2026-01-01T00:30:00.000001Z", "TEMPERATURE", "t2-7", 6.0),
        ("2026-01-01T02:00:00.000000Z", "TEMPERATURE", "t1-7", 5.0),
        ("2026-01-31T23:59:59.999999Z", "HUMIDITY", "h1-7", 90.0),
    ]
    assert all(
        set(item) == {"timestamp", "specification_type", "sensor_id", "value", "sample_count"}
        for item in answer["data"]
    )
    assert answer["meta"] == {
        "company_id": tenant.company_id,
        "filters": JANUARY,
        "pagination": {
            "page": 1,
            "page_size": 100,
            "total_count": 6,
            "total_pages": 1,
            "has_next": False,
            "has_previous": False,
        },
    }


def hour(at: str, kind: str, value: float, count: int, low: float, high: float) -> dict[str, Any]:
    """A bucket as the API returns it."""
    return {
        "timestamp": at,
        "specification_type": kind,
        "value": value,
        "sample_count": count,
        "min_value": low,
        "max_value": high,
    }


async def test_buckets_pool_all_sensors_of_a_type(tenant: Tenant, token: dict[str, str]) -> None:
    assert await items(tenant, "sensor-data", token, aggregation="hourly", **JANUARY) == [
        hour("2026-01-01T00:00:00.000000Z", "HUMIDITY", 80.0, 1, 80.0, 80.0),
        hour("2026-01-01T00:00:00.000000Z", "TEMPERATURE", 3.0, 3, 1.0, 6.0),
        hour("2026-01-01T02:00:00.000000Z", "TEMPERATURE", 5.0, 1, 5.0, 5.0),
        hour("2026-01-31T23:00:00.000000Z", "HUMIDITY", 90.0, 1, 90.0, 90.0),
    ]
    assert await items(tenant, "sensor-data", token, aggregation="daily", **JANUARY) == [
        hour("2026-01-01T00:00:00.000000Z", "HUMIDITY", 80.0, 1, 80.0, 80.0),
        hour("2026-01-01T00:00:00.000000Z", "TEMPERATURE", 3.5, 4, 1.0, 6.0),
        hour("2026-01-31T00:00:00.000000Z", "HUMIDITY", 90.0, 1, 90.0, 90.0),
    ]


async def test_filters_are_repeated_as_they_were_sent(tenant: Tenant, token: dict[str, str]) -> None:
    sent = {
        **JANUARY,
        "specification_type": "HUMIDITY, TEMPERATURE",
        "aggregation": "daily",
        "fill": "none",
        "timezone": "Africa/Lagos",
    }
    answer = await (await get(tenant, "sensor-data", token, page=2, page_size=1, **sent)).json()
    assert answer["meta"]["filters"] == sent
    assert (answer["meta"]["pagination"]["page"], answer["meta"]["pagination"]["has_previous"]) == (2, True)
    assert len(answer["data"]) == 1


async def test_types_may_be_chosen(tenant: Tenant, token: dict[str, str]) -> None:
    await tenant.sensor(id="elsewhere", specification_type="CO2")
    for asked, found in (("HUMIDITY", 2), ("HUMIDITY,TEMPERATURE", 6), ("CO2", 0), ("CO2,TEMPERATURE", 4)):
        assert len(await items(tenant, "sensor-data", token, specification_type=asked, **JANUARY)) == found
    for unknown in ("PRESSURE", "TEMPERATURE,PRESSURE", "temperature", "TEMPERATURE,", "", "\0"):
        refused = await get(tenant, "sensor-data", token, specification_type=unknown, **JANUARY)
        assert refused.status == 400, unknown
        assert_about(await refused.json(), "specification_type")


async def test_a_unit_without_sensors_has_no_data(tenant: Tenant) -> None:
    await make(tenant, "cooling-units", {"id": 7})
    token = await new_token(tenant)
    for aggregation in ("raw", "hourly", "daily"):
        for types in ({}, {"specification_type": "TEMPERATURE,HUMIDITY"}):
            assert await items(tenant, "sensor-data", token, aggregation=aggregation, **types, **JANUARY) == []


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"cooling_unit_id": None}, "cooling_unit_id"),
        ({"cooling_unit_id": "x"}, "cooling_unit_id"),
        ({"cooling_unit_id": 0}, "cooling_unit_id"),
        ({"cooling_unit_id": 2**31}, "cooling_unit_id"),
        ({"cooling_unit_id": "7,8"}, "cooling_unit_id"),
        ({"start_date": None}, "start_date"),
        ({"end_date": None}, "end_date"),
        ({"start_date": "2026-02-30"}, "start_date"),
        ({"start_date": "٢026-01-01"}, "start_date"),
        ({"start_date": "2026-01-01T00:00:00Z"}, "start_date"),
        ({"start_date": "2026-02-01"}, "end_date"),
        ({"start_date": "2020-01-01"}, "end_date"),
        ({"aggregation": "weekly"}, "aggregation"),
        ({"aggregation": "auto"}, "aggregation"),
        ({"aggregation": "hourly", "fill": "zero"}, "fill"),
        ({"fill": "null"}, "fill"),
        ({"fill": "previous", "aggregation": "raw"}, "fill"),
        ({"timezone": "Mars"}, "timezone"),
        ({"page": 0}, "page"),
        ({"page_size": 1001}, "page_size"),
        ({"period": "day"}, "period"),
    ],
)
async def test_what_cannot_be_used_is_named(changes: dict[str, Any], field: str, tenant: Tenant) -> None:
    await make(tenant, "cooling-units", {"id": 7})
    asked = {name: value for name, value in {**JANUARY, **changes}.items() if value is not None}
    refused = await get(tenant, "sensor-data", await new_token(tenant), **asked)
    assert refused.status == 400
    assert_about(await refused.json(), field)


async def test_a_parameter_that_is_given_twice_is_refused(tenant: Tenant) -> None:
    url = f"{tenant.base}/api/v1/sensor-data?page=1&page=2"
    async with tenant.session.get(url, headers=await new_token(tenant)) as refused:
        assert_about(await refused.json(), "page")


async def test_units_that_a_token_may_not_see_answer_as_unknown(
    tenant: Tenant, service: Service, make_tenant: MakeTenant
) -> None:
    other = await make_tenant(service)
    await cold_room(tenant)
    await make(tenant, "cooling-units", {"id": 8})
    await make(tenant, "assets", {"id": 9})
    await make(other, "cooling-units", {"id": 10})
    await tenant.sensor(asset_id=8, specification_type="CO2")
    limited, free = await new_token(tenant, cooling_unit_ids=[7]), await new_token(tenant)
    answers = set()
    for token, unit in ((limited, 8), (limited, 10), (limited, 11), (free, 9), (free, 10), (free, 11)):
        refused = await get(tenant, "sensor-data", token, **{**JANUARY, "cooling_unit_id": unit})
        assert refused.status == 400
        assert_about(await refused.json(), "cooling_unit_id")
        answers.add((await refused.text()).replace(f" {unit} ", " ID "))
    assert len(answers) == 1
    assert (await get(tenant, "sensor-data", limited, **JANUARY)).status == 200
    # The types of other units are not revealed either.
    for token, status in ((limited, 400), (free, 200)):
        assert (await get(tenant, "sensor-data", token, **JANUARY, specification_type="CO2")).status == status


async def test_days_are_those_of_the_organization_or_the_request(tenant: Tenant, token: dict[str, str]) -> None:
    async def days(**asked: Any) -> list[tuple[str, int]]:
        found = await items(
            tenant, "sensor-data", token, aggregation="daily", specification_type="TEMPERATURE", **asked
        )
        return [(item["timestamp"], item["sample_count"]) for item in found]

    one_day = {**JANUARY, "end_date": "2026-01-01"}
    assert await days(**one_day) == [("2026-01-01T00:00:00.000000Z", 4)]
    kolkata = [("2025-12-31T18:30:00.000000Z", 5)]
    assert await days(**one_day, timezone="Asia/Kolkata") == kolkata
    assert (await tenant.manage("PATCH", "organization", {"timezone": "Asia/Kolkata"})).status == 200
    assert await days(**one_day) == kolkata
    assert await days(**one_day, timezone="Etc/GMT+2") == [("2026-01-01T02:00:00.000000Z", 1)]
    # Hours are always UTC hours, and contain only readings within the days of the request.
    found = await items(tenant, "sensor-data", token, aggregation="hourly", **{**one_day, "start_date": "2025-12-31"})
    assert (found[0]["timestamp"], found[0]["sample_count"]) == ("2025-12-31T23:00:00.000000Z", 1)


async def test_days_with_daylight_saving_are_23_and_25_hours_long(tenant: Tenant) -> None:
    await cold_room(tenant)
    await make(tenant, "cooling-units", {"id": 8})
    await store(
        tenant,
        [
            ("t1-7", f"2026-{day}T{hour:02d}:30:00Z", 1)
            for day in ("03-28", "03-29", "03-30", "10-24", "10-25", "10-26")
            for hour in range(24)
        ],
    )
    token = await new_token(tenant)
    berlin = {"cooling_unit_id": 7, "aggregation": "daily", "timezone": "Europe/Berlin"}
    for day, start, length in (("03-29", "03-28T23", 23), ("10-25", "10-24T22", 25)):
        [found] = await items(tenant, "sensor-data", token, **berlin, start_date=f"2026-{day}", end_date=f"2026-{day}")
        assert (found["timestamp"], found["sample_count"]) == (f"2026-{start}:00:00.000000Z", length)


@pytest.mark.parametrize(
    ("fill", "values"),
    [
        ("none", [4.0, 10.0]),
        ("null", [None, 4.0, None, None, 10.0, None]),
        ("previous", [9.0, 4.0, 4.0, 4.0, 10.0, 10.0]),
        ("linear", [None, 4.0, 6.0, 8.0, 10.0, None]),
    ],
)
@pytest.mark.parametrize("page_size", [1, 2, 100])
async def test_gaps_are_filled_as_asked(fill: str, values: list[float | None], page_size: int, tenant: Tenant) -> None:
    await cold_room(tenant)
    await store(
        tenant,
        [
            ("t1-7", "2025-11-30T08:00:00Z", 8),
            ("t2-7", "2025-11-30T09:00:00Z", 10),
            ("t1-7", "2026-01-02T08:00:00Z", 3),
            ("t2-7", "2026-01-02T09:00:00Z", 5),
            ("t1-7", "2026-01-05T08:00:00Z", 10),
            ("t1-7", "2026-01-07T08:00:00Z", 77),
        ],
    )
    token = await new_token(tenant)
    asked = {**JANUARY, "end_date": "2026-01-06", "specification_type": "TEMPERATURE", "aggregation": "daily"}
    found = []
    for page in range(1, 100):
        answer = await (
            await get(tenant, "sensor-data", token, fill=fill, page=page, page_size=page_size, **asked)
        ).json()
        found += answer["data"]
        if not answer["meta"]["pagination"]["has_next"]:
            break
    assert answer["meta"]["pagination"]["total_count"] == len(values)
    assert [item["value"] for item in found] == values
    for item in found:
        measured = item["timestamp"][:10] in ("2026-01-02", "2026-01-05")
        assert (item["sample_count"] > 0) == measured
        assert (item["min_value"] is None) == (not measured)


async def test_a_type_that_the_unit_has_no_sensor_of_has_nothing_to_fill(tenant: Tenant) -> None:
    await cold_room(tenant)
    await tenant.sensor(id="gas", specification_type="CO2")
    token = await new_token(tenant)
    for fill in ("none", "null", "previous", "linear"):
        for aggregation in ("hourly", "daily"):
            asked = {**JANUARY, "specification_type": "CO2,HUMIDITY", "aggregation": aggregation, "fill": fill}
            found = await items(tenant, "sensor-data", token, **asked)
            assert {item["specification_type"] for item in found} == ({"HUMIDITY"} if fill != "none" else set())
            asked["specification_type"] = "CO2"
            assert await items(tenant, "sensor-data", token, **asked) == []


async def test_pages_follow_each_other_while_data_arrives(tenant: Tenant, token: dict[str, str]) -> None:
    everything = await items(tenant, "sensor-data", token, **JANUARY)
    pages = []
    for page in (1, 2, 3):
        pages += await items(tenant, "sensor-data", token, page=page, page_size=2, **JANUARY)
        # These are later than what was read, so no earlier page changes.
        await store(tenant, [("t1-7", f"2026-01-31T23:59:59.99999{page}Z", page)])
    assert pages[:5] == everything[:5]
    assert await items(tenant, "sensor-data", token, page=2, page_size=2, **JANUARY) == everything[2:4]
    last = await (await get(tenant, "sensor-data", token, page=9, page_size=2, **JANUARY)).json()
    assert last["data"] == []
    assert last["meta"]["pagination"]["total_count"] == 9


async def test_corrections_show_at_once(tenant: Tenant, token: dict[str, str]) -> None:
    async def day() -> list[tuple[float, int]]:
        asked = {**JANUARY, "end_date": "2026-01-01", "specification_type": "TEMPERATURE"}
        found = await items(tenant, "sensor-data", token, aggregation="daily", **asked)
        return [(item["value"], item["sample_count"]) for item in found]

    assert await day() == [(3.5, 4)]
    await store(tenant, [("t1-7", "2026-01-01T02:00:00Z", 9)])
    assert await day() == [(4.5, 4)]
    await store(tenant, [("t1-7", "2026-01-01T05:00:00Z", 12)])
    assert await day() == [(6.0, 5)]
    window = {"sensor": "t2-7", "start": "2026-01-01", "end": "2026-01-02"}
    assert (await tenant.manage("DELETE", "readings", **window)).status == 200
    assert await day() == [(22 / 3, 3)]
    await tenant.manage("DELETE", "readings", **{**window, "sensor": "t1-7"})
    assert await day() == []


async def test_a_cached_answer_is_for_tokens_of_the_same_units(
    service: Service, start_service: StartService, make_tenant: MakeTenant
) -> None:
    caching = start_service(service.database_url, TIDEMARK_CACHE_SECONDS="60")
    tenant = await make_tenant(caching)
    await cold_room(tenant)
    await store(tenant, [("t1-7", "2026-01-01T00:00:00Z", 1)])
    free, same, other = await new_token(tenant), await new_token(tenant), await new_token(tenant, cooling_unit_ids=[8])
    first = await get(tenant, "sensor-data", free, **JANUARY)
    again = await get(tenant, "sensor-data", same, **JANUARY)
    assert "Age" not in first.headers
    assert "Age" in again.headers
    assert await again.text() == await first.text()
    assert (await get(tenant, "sensor-data", other, **JANUARY)).status == 400
    without_scope = await new_token(tenant, scopes=["users"])
    assert (await get(tenant, "sensor-data", without_scope, **JANUARY)).status == 403
    assert caching.stop() == 0
