"""The eight fetch endpoints, as the contract defines them."""

import json
import random
import socket
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from io import BytesIO
from itertools import product
from typing import Any

import pytest
from yarl import URL

from tests.conftest import MakeTenant, Service, Tenant, ago
from tests.http.wire import head

RAW = "get_inputdata_by_inputs"
LATEST = "get_latest_inputdata_by_inputs"
STATISTICS = "get_statistics_inputdata_by_inputs"
LATEST_STATISTICS = "get_latest_statistics_inputdata_by_inputs"
BY_INPUTS = (RAW, LATEST, STATISTICS, LATEST_STATISTICS)
BY_ASSET = tuple(endpoint.replace("_by_inputs", "_by_asset") for endpoint in BY_INPUTS)


async def ask(tenant: Tenant, endpoint: str, **parameters: Any) -> Any:
    """The document of a fetch that must succeed."""
    response = await tenant.fetch(endpoint, **parameters)
    assert response.status == 200, await response.text()
    assert response.content_type == "application/json"
    assert response.charset == "utf-8"
    return await response.json()


async def values(tenant: Tenant, endpoint: str, **parameters: Any) -> list[list[float]]:
    """The values of each input's records, in the order of the response."""
    return [
        [float(record["value"]) for record in one["inputdata"]] for one in await ask(tenant, endpoint, **parameters)
    ]


async def assert_refused(tenant: Tenant, status: int, name: str, endpoint: str, **parameters: Any) -> str:
    """Assert that a fetch returns one JSON:API error object for this parameter. Returns its detail."""
    response = await tenant.fetch(endpoint, **parameters)
    assert (response.status, response.content_type) == (status, "application/vnd.api+json")
    document = await response.json(content_type=None)
    [error] = document["errors"]
    assert (error["status"], error["source"]) == (str(status), {"parameter": name})
    assert error["title"]
    return str(error["detail"])


async def store(tenant: Tenant, sensor: str, *readings: tuple[str, Any]) -> None:
    """Upload readings, given as timestamp and value."""
    for timestamp, value in readings:
        assert (await tenant.upload(sensor, timestamp, value)).status == 201


@pytest.fixture
async def year(tenant: Tenant) -> str:
    """A sensor with five readings, whose order by value differs from that by time."""
    sensor = await tenant.sensor(id="year", name="Cold room", measure_unit="°C")
    stamps = ("2020-01-01", "2020-01-02T00:00:00Z", "2020-01-02T00:00:00.000001Z", "2020-01-03", "2020-07-01")
    await store(tenant, sensor, *zip(stamps, (3, 1, 4, 2, 5), strict=True))
    return sensor


@pytest.mark.parametrize(
    ("bounds", "inside"),
    [
        ({}, [3, 1, 4, 2, 5]),
        ({"timeperiod_start": "2020-01-02 00:00:00"}, [1, 4, 2, 5]),
        ({"timeperiod_finish": "2020-01-02 00:00:00"}, [3, 1]),
        ({"timeperiod_start": "2020-01-02 00:00:00", "timeperiod_finish": "2020-01-02 00:00:00"}, [1]),
        (
            {"timeperiod_start": "2020-01-02T00:00:00.000001Z", "timeperiod_finish": "2020-01-03T00:00:00"},
            [4, 2],
        ),
        (
            {"timeperiod_start": "2020-01-02T05:30:00+05:30", "timeperiod_finish": "2020-01-02T19:00-05:00"},
            [1, 4, 2],
        ),
        ({"timeperiod_start": "1000-01-01", "timeperiod_finish": "9999-12-31 23:59:59"}, [3, 1, 4, 2, 5]),
        ({"timeperiod_start": "2020-01-04", "timeperiod_finish": "2020-02-01"}, []),
    ],
)
async def test_both_bounds_are_inclusive_and_either_may_be_missing(
    bounds: dict[str, str], inside: list[int], tenant: Tenant, year: str
) -> None:
    assert await values(tenant, RAW, input_ids=year, **bounds) == [inside]
    assert await values(tenant, LATEST, input_ids=year, **bounds) == [inside[::-1]]
    expected = []
    if inside:
        mean = sum(inside) / len(inside)
        expected = [{"min": f"{min(inside)}", "max": f"{max(inside)}", "avg": repr(mean).removesuffix(".0")}]
    for endpoint in (STATISTICS, LATEST_STATISTICS):
        assert (await ask(tenant, endpoint, input_ids=year, **bounds))[0]["inputdata"] == expected


AGES = {"hour": (0.5, 1.5, 23), "day": (25, 47, 49), "week": (169, 335, 400)}
"""Hours before now, close to the lengths of the units."""


@pytest.mark.parametrize(
    ("last", "hours"),
    [
        ("1_hour", 1),
        ("2_hours", 2),
        ("24_hours", 24),
        ("1_day", 24),
        ("2_days", 48),
        ("1_week", 168),
        ("2_weeks", 336),
        ("3_day", 72),
        ("99999999_weeks", 10**9),
    ],
)
async def test_last_reaches_back_from_now_and_has_no_upper_end(last: str, hours: float, tenant: Tenant) -> None:
    sensor = await tenant.sensor()
    ages = sorted([-12.0, *(age for near in AGES.values() for age in near)])
    await store(tenant, sensor, *((ago(hours=age), age) for age in ages))
    inside = [age for age in ages if age <= hours]
    assert await values(tenant, LATEST, input_ids=sensor, timeperiod_last=last) == [inside]
    assert await values(tenant, RAW, input_ids=sensor, timeperiod_last=f'"{last}"') == [inside[::-1]]
    for endpoint in (STATISTICS, LATEST_STATISTICS):
        [found] = (await ask(tenant, endpoint, input_ids=sensor, timeperiod_last=last))[0]["inputdata"]
        assert (float(found["min"]), float(found["max"])) == (min(inside), max(inside))
        assert float(found["avg"]) == pytest.approx(sum(inside) / len(inside), rel=1e-9)


@pytest.mark.parametrize("endpoint", BY_INPUTS)
async def test_last_excludes_start_and_finish(endpoint: str, tenant: Tenant, year: str) -> None:
    for name in ("timeperiod_start", "timeperiod_finish"):
        bounds = {name: "2020-01-01 00:00:00", "timeperiod_last": "1_day"}
        await assert_refused(tenant, 400, "timeperiod_last", endpoint, input_ids=year, **bounds)


async def test_limit_counts_for_each_input_after_ordering(tenant: Tenant, year: str) -> None:
    other = await tenant.sensor()
    await store(tenant, other, ("2021-01-01", 20), ("2021-01-02", 10))
    both = {"input_ids": f"{year}, {other}"}
    assert await values(tenant, RAW, **both, limit=3) == [[3, 1, 4], [20, 10]]
    assert await values(tenant, LATEST, **both, limit=1) == [[5], [10]]
    for name in ("timestamp", "date"):
        assert await values(tenant, RAW, **both, limit=2, order_by=name, sort_by="desc") == [[5, 2], [10, 20]]
        assert await values(tenant, LATEST, **both, limit=2, order_by=name, sort_by="asc") == [
            [3, 1],
            [20, 10],
        ]
    assert await values(tenant, RAW, **both, limit=2, order_by="value") == [[1, 2], [10, 20]]
    assert await values(tenant, LATEST, **both, limit=2, order_by="value") == [[5, 4], [20, 10]]
    assert await values(tenant, RAW, **both, limit=2, order_by="VALUE", sort_by='"DESC"') == [
        [5, 4],
        [20, 10],
    ]
    bounds = {"timeperiod_start": "2020-01-02", "timeperiod_finish": "2020-02-01"}
    assert await values(tenant, RAW, **both, **bounds, limit=2, order_by="value") == [[1, 2], []]


async def test_limit_does_not_apply_to_statistics(tenant: Tenant, year: str) -> None:
    for endpoint in (STATISTICS, LATEST_STATISTICS):
        [found] = await ask(tenant, endpoint, input_ids=year, limit=1)
        assert found["inputdata"] == [{"min": "1", "max": "5", "avg": "3"}]


async def test_statistics_have_the_functions_asked_for(tenant: Tenant, year: str) -> None:
    for asked, names in {
        "min": ["min"],
        '"avg"': ["avg"],
        "max, min": ["max", "min"],
        "AVG,min,max": None,
    }.items():
        [found] = await ask(tenant, STATISTICS, input_ids=year, aggregation_func=asked)
        assert set(found["inputdata"][0]) == set(names or ("min", "max", "avg"))


async def test_record_has_the_fields_asked_for_or_null(tenant: Tenant) -> None:
    sensor = await tenant.sensor()
    metadata: Any = {"tags": ["a", None, 1.5], "ß": {"quote": '"', "nul": "\0"}}
    full: dict[str, Any] = {
        "latitude": "40.730610",
        "longitude": -73.935242,
        "x_axis_value": 7,
        "metadata": metadata,
    }
    assert (await tenant.upload(sensor, "2020-01-01T00:00:00Z", 1, **full)).status == 201
    assert (await tenant.upload(sensor, "2020-01-02T00:00:00Z", 2)).status == 201
    shown: dict[str, dict[str, Any]] = {
        "is_add_lat_long": {"latitude": "40.73061", "longitude": "-73.935242"},
        "is_add_metadata": {"metadata": metadata},
        "is_add_x_axis_data": {"x_axis_value": "7"},
    }
    for choice in product((True, False), repeat=3):
        flags = dict(zip(shown, (json.dumps(one) for one in choice), strict=True))
        [found] = await ask(tenant, RAW, input_ids=sensor, **flags)
        extra = {name: value for flag, one in shown.items() if flags[flag] == "true" for name, value in one.items()}
        assert found["inputdata"] == [
            {"timestamp": "2020-01-01T00:00:00.000000Z", "value": "1", **extra},
            {"timestamp": "2020-01-02T00:00:00.000000Z", "value": "2", **dict.fromkeys(extra)},
        ]
        assert {tuple(record) for record in found["inputdata"]} == {("timestamp", "value", *extra)}, "the seed's order"


async def test_numbers_are_the_shortest_text_of_their_double(tenant: Tenant) -> None:
    sensor = await tenant.sensor()
    given = {
        12: "12",
        "12.50": "12.5",
        1e22: "1e+22",
        "10000000000000000000000": "1e+22",
        "+.1": "0.1",
        "-0.0": "-0",
        -0.0: "-0",
        "0.30000000000000004": "0.30000000000000004",
        "5e-324": "5e-324",
        "-1E150": "-1e+150",
        "123456789.125": "123456789.125",
        0.1 + 0.7: "0.7999999999999999",
    }
    for second, (sent, text) in enumerate(given.items()):
        response = await tenant.upload(sensor, f"2020-01-01T00:00:{second:02}Z", sent)
        assert (await response.json(content_type=None))["data"]["attributes"]["value"] == text
        window = dict.fromkeys(("timeperiod_start", "timeperiod_finish"), f"2020-01-01 00:00:{second:02}")
        [raw] = await ask(tenant, RAW, input_ids=sensor, **window)
        assert raw["inputdata"][0]["value"] == text
        [statistics] = await ask(tenant, STATISTICS, input_ids=sensor, **window)
        assert statistics["inputdata"] == [{"min": text, "max": text, "avg": text}]


async def test_inputs_come_in_the_order_asked(tenant: Tenant) -> None:
    for name in ("b", "c", "a"):
        await tenant.sensor(id=name, name=f"Sensor {name}", measure_unit="°C" if name == "a" else None)
    expected = [
        {"id": "c", "name": "Sensor c", "measure_unit": None},
        {"id": "a", "name": "Sensor a", "measure_unit": "°C"},
        {"id": "b", "name": "Sensor b", "measure_unit": None},
    ]
    for endpoint in BY_INPUTS:
        document = await ask(tenant, endpoint, input_ids="c,a,b")
        assert document == [{"input": one, "inputdata": []} for one in expected]


async def test_inputs_of_an_asset_are_ordered_by_id(tenant: Tenant) -> None:
    asset = await tenant.asset(name="Truck 7 “Ærø”")
    for name in ("b", "B", "a10", "a9", "ä"):
        await tenant.sensor(id=name, asset_id=asset)
    await tenant.sensor(id="elsewhere")
    empty = await tenant.asset()
    for endpoint in BY_ASSET:
        document = await ask(tenant, endpoint, asset_id=asset)
        assert set(document) == {"id", "name", "inputs"}
        assert (document["id"], document["name"]) == (asset, "Truck 7 “Ærø”")
        assert [one["input"]["id"] for one in document["inputs"]] == ["B", "a10", "a9", "b", "ä"]
        some = await ask(tenant, endpoint, asset_id=asset, input_ids="a9,B")
        assert {one["input"]["id"] for one in some["inputs"]} == {"a9", "B"}
        assert (await ask(tenant, endpoint, asset_id=empty))["inputs"] == []


async def test_unknown_and_foreign_inputs_and_assets_are_named(
    tenant: Tenant, service: Service, make_tenant: MakeTenant
) -> None:
    other = await make_tenant(service)
    foreign, foreign_asset = await other.sensor(id="theirs"), await other.asset(id=77)
    mine, asset = await tenant.sensor(id="mine"), await tenant.asset(id=5)
    loose = await tenant.sensor(id="loose")
    await tenant.manage("PATCH", f"sensors/{mine}", {"asset_id": asset})
    for endpoint in BY_INPUTS:
        for unknown in (foreign, "nobody"):
            detail = await assert_refused(tenant, 404, "input_ids", endpoint, input_ids=f"{mine},{unknown},{loose}")
            assert unknown in detail
            assert mine not in detail
    for endpoint in BY_ASSET:
        for unknown_asset in (foreign_asset, 78):
            assert str(unknown_asset) in await assert_refused(tenant, 404, "asset_id", endpoint, asset_id=unknown_asset)
        for unknown in (foreign, loose, "nobody"):
            detail = await assert_refused(
                tenant, 404, "input_ids", endpoint, asset_id=asset, input_ids=f"{mine},{unknown}"
            )
            assert unknown in detail


@pytest.mark.parametrize("endpoint", BY_INPUTS + BY_ASSET)
async def test_head_options_and_other_methods(endpoint: str, tenant: Tenant, year: str) -> None:
    asset = await tenant.asset()
    parameters: dict[str, Any] = {"asset_id": asset} if endpoint in BY_ASSET else {"input_ids": year}
    for slash in ("", "/"):
        url = f"{tenant.base}/api/external/v1/{endpoint}{slash}"
        async with tenant.session.get(url, params=parameters, headers=tenant.keys) as got:
            body = await got.read()
        async with tenant.session.head(url, params=parameters, headers=tenant.keys) as response:
            assert await response.read() == b""
            for name in ("Content-Type", "Content-Length", "ETag"):
                assert response.headers[name] == got.headers[name]
            assert (response.status, got.status) == (200, 200)
            assert int(response.headers["Content-Length"]) == len(body)
        async with tenant.session.options(url) as response:
            assert response.status in (200, 204)
            assert set(response.headers["Allow"].split(", ")) == {"GET", "HEAD", "OPTIONS"}
        async with tenant.session.post(url, params=parameters, headers=tenant.keys) as response:
            assert response.status == 405
            assert set(response.headers["Allow"].split(", ")) == {"GET", "HEAD", "OPTIONS"}
            [error] = (await response.json(content_type=None))["errors"]
            assert (error["status"], response.content_type) == ("405", "application/vnd.api+json")


async def test_etag_changes_with_the_answer_only(tenant: Tenant, year: str) -> None:
    url = f"{tenant.base}/api/external/v1/{STATISTICS}"
    parameters = {"input_ids": year}
    first = await tenant.fetch(STATISTICS, **parameters)
    tag = {"If-None-Match": first.headers["ETag"], **tenant.keys}
    async with tenant.session.get(url, params=parameters, headers=tag) as response:
        assert (response.status, await response.read()) == (304, b"")
        assert response.headers["ETag"] == first.headers["ETag"]
    await store(tenant, year, ("2020-01-01", -3))
    async with tenant.session.get(url, params=parameters, headers=tag) as response:
        assert response.status == 200
        assert (await response.json())[0]["inputdata"][0]["min"] == "-3"
        assert response.headers["ETag"] != first.headers["ETag"]
    without_keys = {"If-None-Match": response.headers["ETag"]}
    async with tenant.session.get(url, params=parameters, headers=without_keys) as response:
        assert response.status == 401


READINGS = 25_000
"""More readings than fit into a response that is built in one piece."""


async def fill(tenant: Tenant, sensor: str) -> None:
    """Store that many readings at once, one a minute from 2020 on."""
    start = datetime(2020, 1, 1, tzinfo=UTC)
    random_values = random.Random(7)
    lines = [
        f"{sensor},{(start + timedelta(minutes=minute)).isoformat()},{random_values.gauss(20, 5)},{minute}"
        for minute in range(READINGS)
    ]
    response = await tenant.session.post(
        f"{tenant.base}/api/v1/readings",
        data=BytesIO("\n".join(["sensor,timestamp,value,x_axis_value", *lines]).encode()),
        headers={"Content-Type": "text/csv", **tenant.keys},
    )
    assert (response.status, (await response.json())["accepted"]) == (200, READINGS)


async def test_large_response_equals_the_small_ones_put_together(tenant: Tenant) -> None:
    full = await tenant.sensor(id="full")
    few = await tenant.sensor(id="few")
    await tenant.sensor(id="none")
    await fill(tenant, full)
    await store(tenant, few, ("2020-01-01", 1), ("2020-01-02", 2))
    small: list[Any] = []
    for day in range(READINGS // 1440 + 1):
        date = (datetime(2020, 1, 1, tzinfo=UTC) + timedelta(days=day)).date()
        window = {"timeperiod_start": f"{date} 00:00:00", "timeperiod_finish": f"{date} 23:59:59"}
        [one] = await ask(tenant, RAW, input_ids=full, limit=1440, is_add_x_axis_data="true", **window)
        small += one["inputdata"]
    assert len(small) == READINGS
    large = await ask(tenant, RAW, input_ids="none,full,few", limit=10**9, is_add_x_axis_data="true")
    assert [one["input"]["id"] for one in large] == ["none", "full", "few"]
    assert [len(one["inputdata"]) for one in large] == [0, READINGS, 2]
    assert large[1]["inputdata"] == small
    [backwards] = await ask(tenant, LATEST, input_ids=full, limit=10**9, is_add_x_axis_data="true")
    assert backwards["inputdata"] == small[::-1]
    [by_value] = await ask(tenant, RAW, input_ids=full, limit=READINGS - 1, order_by="value", is_add_x_axis_data="true")
    assert by_value["inputdata"] == sorted(small, key=lambda record: float(record["value"]))[:-1]
    assert len((await ask(tenant, RAW, input_ids=full))[0]["inputdata"]) == 1000
    [statistics] = await ask(tenant, STATISTICS, input_ids=full)
    numbers = [float(record["value"]) for record in small]
    extremes = (float(statistics["inputdata"][0]["min"]), float(statistics["inputdata"][0]["max"]))
    assert extremes == (min(numbers), max(numbers))


async def test_large_response_has_the_same_errors_and_heads(tenant: Tenant) -> None:
    sensor = await tenant.sensor()
    await assert_refused(tenant, 404, "input_ids", RAW, input_ids=f"{sensor},nobody", limit=10**6)
    assert await ask(tenant, RAW, input_ids=sensor, limit=10**6) == await ask(tenant, RAW, input_ids=sensor)
    url = f"{tenant.base}/api/external/v1/{RAW}"
    parameters: dict[str, Any] = {"input_ids": sensor, "limit": 10**6}
    async with tenant.session.head(url, params=parameters, headers=tenant.keys) as response:
        assert (response.status, await response.read()) == (200, b"")
    asset = await tenant.asset()
    empty = await ask(tenant, "get_inputdata_by_asset", asset_id=asset, limit=10**6)
    assert empty == {"id": asset, "name": str(asset), "inputs": []}


async def test_clients_that_do_not_read_or_disconnect_hold_up_nobody(tenant: Tenant) -> None:
    sensors = [await tenant.sensor() for _ in range(4)]
    for sensor in sensors:
        await fill(tenant, sensor)
    query = f"input_ids={','.join(sensors)}&limit={10**6}&is_add_lat_long=true&is_add_metadata=true"
    where = URL(tenant.base)
    with ExitStack() as clients:
        for number in range(20):
            client = clients.enter_context(socket.socket())
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.connect((where.host, where.port))
            client.sendall(head(tenant, f"/api/external/v1/{RAW}?{query}", {}, method="GET"))
            if number == 0:
                assert client.recv(12) == b"HTTP/1.1 200"
        assert len((await ask(tenant, RAW, input_ids=sensors[0]))[0]["inputdata"]) == 1000
    large = await ask(tenant, RAW, input_ids=",".join(sensors), limit=10**6)
    assert [len(one["inputdata"]) for one in large] == [READINGS] * 4
