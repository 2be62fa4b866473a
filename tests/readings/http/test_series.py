"""`GET /api/v1/series` and `GET /api/v1/latest`."""

import csv
import io
from datetime import timedelta
from typing import Any

import pytest

from tests.catalog.test_management import make
from tests.coldchain.requests import assert_about, cold_room, get, items, new_token, store
from tests.conftest import MakeTenant, Service, Tenant, ago

DAY = {"start": "2026-01-01", "end": "2026-01-01"}


@pytest.fixture
async def token(tenant: Tenant) -> dict[str, str]:
    """A token, and two sensors with a reading every 15 minutes for two days, the second without an asset."""
    await cold_room(tenant)
    await tenant.sensor(id="alone", name='A "quoted", name')
    await store(
        tenant,
        [
            (sensor, f"2026-01-{day:02d}T{quarter // 4:02d}:{quarter % 4 * 15:02d}:00Z", quarter)
            for sensor in ("t1-7", "alone")
            for day in (1, 2)
            for quarter in range(96)
        ],
    )
    return await new_token(tenant)


async def test_items_are_ordered_by_time_then_sensor(tenant: Tenant, token: dict[str, str]) -> None:
    found = await items(tenant, "series", token, sensors="t1-7,alone", page_size=3, page=2, **DAY)
    assert found == [
        {"timestamp": f"2026-01-01T00:{minute}:00.000000Z", "sensor_id": sensor, "value": value, "sample_count": 1}
        for minute, sensor, value in ((15, "t1-7", 1.0), (30, "alone", 2.0), (30, "t1-7", 2.0))
    ]
    found = await items(tenant, "series", token, sensors="alone", aggregation="hourly", page_size=1, page=24, **DAY)
    assert found == [
        {
            "timestamp": "2026-01-01T23:00:00.000000Z",
            "sensor_id": "alone",
            "value": 93.5,
            "sample_count": 4,
            "min_value": 92.0,
            "max_value": 95.0,
        }
    ]


@pytest.mark.parametrize(
    ("start", "end", "count"),
    [
        ("2026-01-01", "2026-01-02", 192),
        ("2026-01-01T00:00:00Z", "2026-01-01T00:15:00Z", 2),
        ("2026-01-01T00:00:00.000001", "2026-01-01 00:14:59.999999", 0),
        ("2026-01-01T23:45:00Z", "2026-01-02", 97),
        ("2026-01-01T05:30:00+05:30", "2026-01-01T00:00:00Z", 1),
        ("1970-01-01", "2026-12-31", 192),
    ],
)
async def test_start_and_end_are_instants_or_days_both_included(
    start: str, end: str, count: int, tenant: Tenant, token: dict[str, str]
) -> None:
    answer = await (await get(tenant, "series", token, sensors="alone", start=start, end=end)).json()
    assert answer["meta"]["pagination"]["total_count"] == count
    assert answer["meta"]["filters"] == {"sensors": "alone", "start": start, "end": end}
    assert answer["meta"]["aggregation"] == "raw"


async def test_days_are_those_of_the_time_zone(tenant: Tenant, token: dict[str, str]) -> None:
    found = await items(tenant, "series", token, sensors="alone", aggregation="daily", timezone="Asia/Kathmandu", **DAY)
    # The day runs from 18:15 UTC to 18:15 UTC, with readings since midnight.
    assert [(item["timestamp"], item["sample_count"]) for item in found] == [("2025-12-31T18:15:00.000000Z", 73)]


@pytest.mark.parametrize(
    ("max_points", "fill", "aggregation", "total"),
    [
        (384, "none", "raw", 384),
        (383, "none", "hourly", 96),
        (96, "none", "hourly", 96),
        (95, "none", "daily", 4),
        (4, "none", "daily", 4),
        (8640, "null", "minute", 8640),
        (8639, "linear", "5_minutes", 1728),
        (1727, "null", "15_minutes", 576),
        (384, "null", "hourly", 144),
        (143, "previous", "daily", 6),
    ],
)
async def test_auto_keeps_within_max_points(
    max_points: int, fill: str, aggregation: str, total: int, tenant: Tenant, token: dict[str, str]
) -> None:
    window = {"start": "2026-01-01", "end": "2026-01-02" if fill == "none" else "2026-01-03"}
    asked = {"sensors": "alone,t1-7", "aggregation": "auto", "max_points": max_points, "fill": fill, **window}
    meta = (await (await get(tenant, "series", token, **asked)).json())["meta"]
    assert (meta["aggregation"], meta["pagination"]["total_count"]) == (aggregation, total)
    if aggregation == "daily":
        refused = await get(tenant, "series", token, **{**asked, "max_points": total - 1})
        assert_about(await refused.json(), "max_points")


@pytest.mark.parametrize(
    ("start", "end"),
    [
        ("2026-03-01", "2026-03-01"),
        ("2026-03-01", "2026-04-30"),
        ("2026-01-01", "2026-12-31"),
        ("2020-01-01", "2026-12-31"),
        ("1970-01-01", "2100-12-31"),
    ],
)
async def test_auto_depends_on_what_a_window_holds_however_long_it_is(
    start: str, end: str, tenant: Tenant, token: dict[str, str]
) -> None:
    await store(
        tenant,
        [("t2-7", f"2026-03-01T{10 + at // 3600}:{at // 60 % 60:02}:{at % 60:02}Z", at) for at in range(0, 7200, 10)],
    )
    asked = {"sensors": "t2-7", "aggregation": "auto", "start": start, "end": end}
    for max_points, aggregation, total in (
        (720, "raw", 720),
        (500, "minute", 120),
        (24, "5_minutes", 24),
        (1, "daily", 1),
    ):
        answer = await get(tenant, "series", token, **asked, max_points=max_points, page_size=1000)
        document = await answer.json()
        assert document["meta"]["aggregation"] == aggregation
        assert document["meta"]["pagination"]["total_count"] == len(document["data"]) == total
        stream = await get(tenant, "series", {**token, "Accept": "text/csv"}, **asked, max_points=max_points)
        assert stream.headers["X-Aggregation"] == aggregation
        rows = list(csv.DictReader(io.StringIO(await stream.text(), newline="")))
        assert [row["timestamp"] for row in rows] == [item["timestamp"] for item in document["data"]]


async def test_with_a_fill_auto_counts_all_buckets_of_a_window(tenant: Tenant, token: dict[str, str]) -> None:
    asked = {"sensors": "alone", "aggregation": "auto", "start": "2026-01-01", "end": "2026-12-31", "fill": "null"}
    for max_points, aggregation in ((525_600, "minute"), (525_599, "5_minutes")):
        answer = await get(tenant, "series", token, **asked, max_points=max_points)
        assert (await answer.json())["meta"]["aggregation"] == aggregation


@pytest.mark.parametrize("aggregation", ["raw", "minute", "hourly", "daily", "auto"])
async def test_a_date_that_its_zone_skipped_is_empty(aggregation: str, tenant: Tenant, token: dict[str, str]) -> None:
    left_out = {"start": "2011-12-30", "end": "2011-12-30", "timezone": "Pacific/Apia", "aggregation": aggregation}
    assert await items(tenant, "series", token, sensors="alone", **left_out) == []
    assert_about(
        await (await get(tenant, "series", token, sensors="alone", **{**left_out, "end": "2011-12-29"})).json(), "end"
    )


async def test_a_day_of_busy_sensors_is_shown_by_the_minute(tenant: Tenant, token: dict[str, str]) -> None:
    values = {second: float(second % 37) for second in range(0, 86400, 20)}
    await store(tenant, [("t2-7", f"2026-02-01T{timedelta(seconds=at)!s:0>8}Z", values[at]) for at in values])
    day = {"start": "2026-02-01", "end": "2026-02-01"}
    for aggregation, minutes in (("auto", 1), ("minute", 1), ("5_minutes", 5), ("15_minutes", 15)):
        asked = {"sensors": "t2-7", "aggregation": aggregation, "page_size": 1000, **day}
        found: list[dict[str, Any]] = []
        page = 0
        while len(found) == page * 1000:
            page += 1
            answer = await (await get(tenant, "series", token, **asked, page=page)).json()
            found += answer["data"]
        assert answer["meta"]["aggregation"] == ("minute" if aggregation == "auto" else aggregation)
        assert answer["meta"]["pagination"]["total_count"] == len(found) == 1440 // minutes
        for number, item in enumerate(found):
            pool = [values[s] for s in range(number * minutes * 60, (number + 1) * minutes * 60, 20)]
            at = f"2026-02-01T{number * minutes // 60:02}:{number * minutes % 60:02}:00.000000Z"
            assert item["value"] == pytest.approx(sum(pool) / len(pool), abs=1e-9)
            assert {name: item[name] for name in ("timestamp", "sample_count", "min_value", "max_value")} == {
                "timestamp": at,
                "sample_count": len(pool),
                "min_value": min(pool),
                "max_value": max(pool),
            }


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"sensors": None}, "sensors"),
        ({"sensors": "alone,"}, "sensors"),
        ({"sensors": "nobody"}, "sensors"),
        ({"sensors": "alone,nobody"}, "sensors"),
        ({"sensors": ",".join(f"s{number}" for number in range(1001))}, "sensors"),
        ({"start": None}, "start"),
        ({"end": None}, "end"),
        ({"start": "2026-01-02"}, "end"),
        ({"start": "soon"}, "start"),
        ({"end": "2026-13-01"}, "end"),
        ({"start": "1970-01-01", "aggregation": "hourly"}, "end"),
        ({"start": "2025-11-01", "aggregation": "minute"}, "end"),
        ({"start": "2025-07-01", "aggregation": "5_minutes"}, "end"),
        ({"start": "2024-07-01", "aggregation": "15_minutes"}, "end"),
        ({"end": "9998-12-31"}, "end"),
        ({"aggregation": "10_minutes"}, "aggregation"),
        ({"max_points": 100}, "max_points"),
        ({"aggregation": "auto", "max_points": 0}, "max_points"),
        ({"aggregation": "auto", "max_points": "many"}, "max_points"),
        ({"aggregation": "auto", "max_points": "0" * 17 + "19" * 5000}, "max_points"),
        ({"fill": "linear"}, "fill"),
        ({"timezone": "../etc"}, "timezone"),
        ({"cooling_unit_id": 7}, "cooling_unit_id"),
    ],
)
async def test_the_error_names_the_parameter_at_fault(
    changes: dict[str, Any], field: str, tenant: Tenant, token: dict[str, str]
) -> None:
    asked = {name: value for name, value in {"sensors": "alone", **DAY, **changes}.items() if value is not None}
    refused = await get(tenant, "series", token, **asked)
    assert refused.status == 400
    assert_about(await refused.json(), field)


async def test_sensors_that_a_token_may_not_see_look_unknown(
    tenant: Tenant, token: dict[str, str], service: Service, make_tenant: MakeTenant
) -> None:
    other = await make_tenant(service)
    theirs = await other.sensor(id="theirs")
    limited = await new_token(tenant, cooling_unit_ids=[7])
    for path, asked in (("series", DAY), ("latest", {})):
        answers = set()
        for headers, sensor in ((limited, "alone"), (limited, theirs), (limited, "none"), (token, theirs)):
            refused = await get(tenant, path, headers, sensors=f"t1-7,{sensor}", **asked)
            assert refused.status == 400
            assert_about(await refused.json(), "sensors")
            answers.add((await refused.text()).replace(f"'{sensor}'", "ID"))
        assert len(answers) == 1
        assert await items(tenant, path, limited, sensors="t1-7", **asked)
    shown = await items(tenant, "latest", limited)
    assert [item["sensor_id"] for item in shown] == ["h1-7", "t1-7", "t2-7", "x1-7"]
    refused = await get(tenant, "latest", limited, asset_id=8)
    assert_about(await refused.json(), "asset_id")
    # A sensor that moves to a unit on the token's list is visible from then on.
    assert (await tenant.manage("PATCH", "sensors/alone", {"asset_id": 7})).status == 200
    assert await items(tenant, "series", limited, sensors="alone", **DAY)


async def test_latest_is_the_last_reading_and_its_age(tenant: Tenant) -> None:
    await cold_room(tenant)
    await make(tenant, "assets", {"id": 9})
    await tenant.sensor(id="alone", name="Door", measure_unit="°C", asset_id=9)
    await store(tenant, [("alone", ago(days=400), 1), ("alone", ago(minutes=10), 2), ("t1-7", ago(days=900), 3)])
    await store(tenant, [("alone", ago(minutes=20), 4)])  # late: not the last one
    token = await new_token(tenant)
    [last] = await items(tenant, "latest", token, asset_id=9)
    assert 600 <= last.pop("age_seconds") < 660
    assert last.pop("timestamp").endswith("Z")
    assert last == {
        "sensor_id": "alone",
        "name": "Door",
        "asset_id": 9,
        "specification_type": None,
        "measure_unit": "°C",
        "value": 2.0,
    }
    everything = await items(tenant, "latest", token)
    assert [item["sensor_id"] for item in everything] == ["alone", "h1-7", "t1-7", "t2-7", "x1-7"]
    assert [item["value"] for item in everything] == [2.0, None, 3.0, None, None]
    assert (everything[1]["timestamp"], everything[1]["age_seconds"]) == (None, None)
    second = await (await get(tenant, "latest", token, page=2, page_size=2)).json()
    assert [item["sensor_id"] for item in second["data"]] == ["t1-7", "t2-7"]
    assert second["meta"]["pagination"]["total_count"] == 5
    assert len(await items(tenant, "latest", token, sensors="t1-7,h1-7")) == 2
    for wrong, field in (({"asset_id": 99}, "asset_id"), ({"asset_id": 9, "sensors": "alone"}, "asset_id")):
        assert_about(await (await get(tenant, "latest", token, **wrong)).json(), field)


async def everything(tenant: Tenant, token: dict[str, str], page: int, asked: dict[str, Any]) -> list[dict[str, Any]]:
    """The items of a large page."""
    return await items(tenant, "series", token, **asked, page=page, page_size=1000)


async def test_csv_has_the_same_items(tenant: Tenant, token: dict[str, str]) -> None:
    as_csv = {**token, "Accept": "text/csv"}
    questions: tuple[tuple[str, dict[str, Any]], ...] = (
        ("series", {"sensors": "alone,t1-7", "page_size": 5, **DAY}),
        (
            "series",
            {"sensors": "alone", "aggregation": "hourly", "fill": "null", "start": "2025-12-31", "end": "2026-01-01"},
        ),
        ("latest", {}),
    )
    for path, asked in questions:
        response = await get(tenant, path, as_csv, **asked)
        assert (response.status, response.content_type, response.charset) == (200, "text/csv", "utf-8")
        rows = list(csv.DictReader(io.StringIO(await response.text(), newline="")))
        document = await (await get(tenant, path, token, **asked)).json()
        assert int(response.headers["X-Total-Count"]) == document["meta"]["pagination"]["total_count"]
        assert response.headers.get("X-Aggregation") == document["meta"].get("aggregation")
        assert response.headers["X-RateLimit-Limit"] == "1000000"
        for row, item in zip(rows, document["data"], strict=True):
            item.pop("age_seconds", None)
            row.pop("age_seconds", None)
            assert row == {name: "" if value is None else str(value) for name, value in item.items()}
    # All of the window, although a page of JSON has 100 items; and the columns of the aggregation that `auto` chose.
    for asked, columns, count in (
        ({"sensors": "alone,t1-7", "start": "2026-01-01", "end": "2026-01-02"}, 4, 384),
        ({"sensors": "alone", "aggregation": "auto", **DAY}, 4, 96),
        ({"sensors": "alone", "aggregation": "auto", "max_points": 95, **DAY}, 6, 24),
        ({"sensors": "alone", "aggregation": "minute", "fill": "previous", **DAY}, 6, 1440),
        ({"sensors": "alone", "start": "1970-01-01", "end": "1970-01-01"}, 4, 0),
    ):
        response = await get(tenant, "series", as_csv, **asked)
        table = list(csv.reader(io.StringIO(await response.text(), newline="")))
        assert ({len(row) for row in table}, len(table)) == ({columns}, count + 1)
        whole = [row for page in range(1, 6) for row in (await everything(tenant, token, page, asked))]
        assert table[1:] == [["" if value is None else str(value) for value in item.values()] for item in whole]
        assert "ETag" not in response.headers
        head = await tenant.session.head(response.url, headers=as_csv)
        assert (head.status, head.headers.get("X-Total-Count")) == (200, response.headers.get("X-Total-Count"))
    for accept in ("*/*", "application/json, text/csv;q=0.5", "text/html", "text/csv;q=0"):
        response = await get(tenant, "latest", {**token, "Accept": accept})
        assert response.content_type == "application/json"
    response = await get(tenant, "latest", {**token, "Accept": "text/csv, */*;q=0.1"})
    assert response.content_type == "text/csv"
    refused = await get(tenant, "series", as_csv, sensors="nobody", **DAY)
    assert (refused.status, refused.content_type) == (400, "application/json")
