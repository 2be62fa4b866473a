"""Bulk readings over HTTP: JSON, NDJSON and CSV, partial failure, streams, limits, deletion."""

import asyncio
import gzip
import io
import json
import zlib
from base64 import b64encode
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Any

import pytest
import zstandard
from aiohttp import ClientError, ClientResponse
from tidemark.base.values import format_number

from tests.conftest import MakeTenant, Service, StartService, Tenant, ago

Record = dict[str, Any]


def as_json(records: Sequence[Record]) -> bytes:
    """A JSON array."""
    return json.dumps(records).encode()


def as_ndjson(records: Sequence[Record]) -> bytes:
    """One object per line."""
    return b"".join(json.dumps(record).encode() + b"\n" for record in records)


def as_csv(records: Sequence[Record]) -> bytes:
    """A header row, then one row for each record."""
    names = list(dict.fromkeys(name for record in records for name in record))
    rows = [",".join(str(record.get(name, "")) for name in names) for record in records]
    return "\r\n".join([",".join(names), *rows]).encode()


FORMATS = {"application/json": as_json, "application/x-ndjson": as_ndjson, "text/csv": as_csv}
every_format = pytest.mark.parametrize("media_type", FORMATS)


def second_of_2021(number: int) -> str:
    """The n-th second of the year's first day."""
    return f"2021-01-01T{number // 3600:02d}:{number // 60 % 60:02d}:{number % 60:02d}Z"


async def send(
    tenant: Tenant,
    body: Any,
    media_type: str = "application/x-ndjson",
    headers: Mapping[str, str] | None = None,
    query: str = "",
) -> ClientResponse:
    """Post a body to the bulk endpoint. Returns the response with its body read."""
    all_headers = {**tenant.keys, "Content-Type": media_type, **(headers or {})}
    url = f"{tenant.base}/api/v1/readings{query}"
    async with tenant.session.post(url, data=body, headers=all_headers) as response:
        await response.read()
    return response


async def stored(tenant: Tenant, sensor: str, **parameters: Any) -> list[Record]:
    """The readings of a sensor, from the sensor API."""
    response = await tenant.fetch("get_inputdata_by_inputs", input_ids=sensor, limit=1_000_000, **parameters)
    answer: list[dict[str, list[Record]]] = await response.json()
    return answer[0]["inputdata"]


@every_format
@pytest.mark.parametrize(
    ("unit", "stamp"),
    [("s", 1700000000.25), ("ms", 1700000000250), ("us", 1700000000250000), ("ns", 1700000000250000999)],
)
async def test_timestamps_are_numbers_in_the_unit_of_the_request(
    tenant: Tenant, media_type: str, unit: str, stamp: float
) -> None:
    sensor = await tenant.sensor()
    iso = {"sensor": sensor, "timestamp": "2023-11-14T22:13:21Z", "value": 2}
    body = FORMATS[media_type]([{"sensor": sensor, "timestamp": stamp, "value": 1}, iso])
    response = await send(tenant, body, media_type)
    assert response.status == 207
    (error,) = (await response.json())["errors"]
    assert (error["index"], error["field"]) == (0, "timestamp")
    assert "timestamp_unit" in error["message"]
    assert (await send(tenant, body, media_type, query=f"?timestamp_unit={unit}")).status == 200
    assert [(one["timestamp"], one["value"]) for one in await stored(tenant, sensor)] == [
        ("2023-11-14T22:13:20.250000Z", "1"),
        ("2023-11-14T22:13:21.000000Z", "2"),
    ]


@pytest.mark.parametrize("query", ["timestamp_unit=m", "timestamp_unit=", "timestamp_unit=s&timestamp_unit=s"])
async def test_an_unknown_or_repeated_unit_is_refused(tenant: Tenant, query: str) -> None:
    response = await send(tenant, b"", query=f"?{query}")
    assert response.status == 400
    assert (await response.json())["error"]["details"] == {"field": "timestamp_unit"}


async def statistics(tenant: Tenant, sensor: str) -> list[Record]:
    """The statistics of all readings of a sensor."""
    answer = await (await tenant.fetch("get_statistics_inputdata_by_inputs", input_ids=sensor)).json()
    found: list[Record] = answer[0]["inputdata"]
    return found


@every_format
async def test_every_field_comes_back(tenant: Tenant, media_type: str) -> None:
    sensor = await tenant.sensor()
    records = [
        {"sensor": sensor, "timestamp": "2020-10-13T14:02:39.489Z", "value": 12.5, "latitude": 40.5, "longitude": -73},
        {"sensor": sensor, "timestamp": "2020-10-13T16:02:40+02:00", "value": "1e3", "x_axis_value": 7},
        {"sensor": sensor, "timestamp": "2020-10-13 14:02:41", "value": -0.25, "metadata": 5},
    ]
    response = await send(tenant, FORMATS[media_type](records), media_type)
    assert response.status == 200
    assert await response.json() == {"accepted": 3, "rejected": 0, "errors": []}
    everything = {"is_add_lat_long": "true", "is_add_x_axis_data": "true", "is_add_metadata": "true"}
    assert [tuple(record.values()) for record in await stored(tenant, sensor, **everything)] == [
        ("2020-10-13T14:02:39.489000Z", "12.5", "40.5", "-73", None, None),
        ("2020-10-13T14:02:40.000000Z", "1000", None, None, None, "7"),
        ("2020-10-13T14:02:41.000000Z", "-0.25", None, None, 5, None),
    ]


@every_format
async def test_good_records_are_stored_and_bad_ones_named(tenant: Tenant, media_type: str) -> None:
    sensor = await tenant.sensor()
    good = {"sensor": sensor, "timestamp": "2021-01-01T00:00:00Z", "value": 1}
    records = [
        good,
        {**good, "value": "12,5" if media_type != "text/csv" else "12;5"},
        {**good, "timestamp": "yesterday"},
        {**good, "sensor": "nobody"},
        {**good, "timestamp": "2021-01-01T00:00:01Z", "value": 2},
    ]
    response = await send(tenant, FORMATS[media_type](records), media_type)
    assert response.status == 207
    answer = await response.json()
    assert (answer["accepted"], answer["rejected"]) == (2, 3)
    assert [(error["index"], error["field"]) for error in sorted(answer["errors"], key=lambda one: one["index"])] == [
        (1, "value"),
        (2, "timestamp"),
        (3, "sensor"),
    ]
    assert all(error["message"] for error in answer["errors"])
    response = await send(tenant, FORMATS[media_type](records[1:4]), media_type)
    assert response.status == 422
    assert len(await stored(tenant, sensor)) == 2


async def test_repeats_and_overwrites_are_accepted_and_the_last_one_wins(tenant: Tenant) -> None:
    sensor = await tenant.sensor()
    first: list[Record] = [{"sensor": sensor, "timestamp": second_of_2021(n), "value": n} for n in range(900)]
    again = [{**record, "value": record["value"] + 1000} for record in first[::3]]
    body = as_ndjson([*first, *again, *again])
    for _ in range(3):
        assert await (await send(tenant, body)).json() == {"accepted": 1500, "rejected": 0, "errors": []}
    values = [float(record["value"]) for record in await stored(tenant, sensor)]
    assert values == [n + 1000 if n % 3 == 0 else n for n in range(900)]
    assert await statistics(tenant, sensor) == [{"min": "1", "max": "1897", "avg": format_number(sum(values) / 900)}]


async def test_concurrent_bulk_and_single_writers_store_each_reading_once(tenant: Tenant) -> None:
    sensors = [await tenant.sensor() for _ in range(5)]
    records: list[Record] = [
        {"sensor": sensor, "timestamp": f"2021-01-{day:02d}T00:00:{second:02d}Z", "value": day}
        for sensor in sensors
        for day in range(1, 29)
        for second in range(10)
    ]
    pieces = [records[start::3] + records[start::5] for start in range(3)]
    answers = await asyncio.gather(
        *(send(tenant, as_ndjson(piece)) for piece in pieces * 3),
        *(tenant.upload(record["sensor"], record["timestamp"], record["value"]) for record in records[::20]),
    )
    assert {answer.status for answer in answers} <= {200, 201}
    for sensor in sensors:
        assert [float(one["value"]) for one in await stored(tenant, sensor)] == [
            float(day) for day in range(1, 29) for _ in range(10)
        ]


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "zstd"])
async def test_compressed_streams_of_any_length(tenant: Tenant, encoding: str) -> None:
    sensor = await tenant.sensor()
    count = 60_000
    lines = "".join(
        f'{{"sensor":"{sensor}","timestamp":"{second_of_2021(n)}","value":{n}}}\n' for n in range(count)
    ).encode()
    compress: dict[str, Callable[[bytes], bytes]] = {
        "gzip": gzip.compress,
        "deflate": zlib.compress,
        "zstd": zstandard.compress,
    }
    compressed = compress[encoding](lines)

    async def pieces() -> AsyncIterator[bytes]:
        for start in range(0, len(compressed), 10_000):
            yield compressed[start : start + 10_000]

    response = await send(tenant, pieces(), headers={"Content-Encoding": encoding})
    assert await response.json() == {"accepted": count, "rejected": 0, "errors": []}
    assert await statistics(tenant, sensor) == [{"min": "0", "max": str(count - 1), "avg": str((count - 1) / 2)}]


async def test_what_an_interrupted_stream_has_committed_is_kept(tenant: Tenant) -> None:
    sensor = await tenant.sensor()
    record = {"sensor": sensor, "timestamp": "2021-01-01T00:00:00Z", "value": 1}

    async def broken() -> AsyncIterator[bytes]:
        for number in range(40_000):
            yield as_ndjson([{**record, "timestamp": second_of_2021(number)}])
            if number % 500 == 0:
                await asyncio.sleep(0)
        while not await stored(tenant, sensor):
            await asyncio.sleep(0.02)
        raise ConnectionError("the line is cut")

    with pytest.raises((ClientError, ConnectionError)):
        await send(tenant, broken())
    assert await stored(tenant, sensor)
    assert (await tenant.upload(sensor, ago(hours=1), 2)).status == 201


@pytest.mark.parametrize("media_type", ["application/x-ndjson", "text/csv"])
async def test_a_slow_stream_is_stored_as_it_arrives(tenant: Tenant, media_type: str) -> None:
    sensor = await tenant.sensor()
    records = [{"sensor": sensor, "timestamp": second_of_2021(number), "value": number} for number in range(4)]
    header, *rows = FORMATS[media_type](records).splitlines(keepends=True)
    if media_type == "application/x-ndjson":
        header, rows = b"", [header, *rows]
    rows[-1] = rows[-1].rstrip() + b"\n"

    async def slow() -> AsyncIterator[bytes]:
        yield header + b"".join(rows[:3])
        while len(await stored(tenant, sensor)) < 3:
            await asyncio.sleep(0.02)
        yield rows[3] + rows[0][:-5]
        raise ConnectionError("the line is cut")

    async with asyncio.timeout(20):
        with pytest.raises((ClientError, ConnectionError)):
            await send(tenant, slow(), media_type)
        while len(await stored(tenant, sensor)) < 4:  # the records that were complete when the body stopped
            await asyncio.sleep(0.02)


async def test_bodies_in_memory_share_a_room(
    service: Service, start_service: StartService, make_tenant: MakeTenant
) -> None:
    tenant = await make_tenant(start_service(service.database_url, TIDEMARK_MAX_BODY="1000000"))
    sensor = await tenant.sensor()
    record = json.dumps({"sensor": sensor, "timestamp": "2021-01-01T00:00:00Z", "value": 1}).encode()
    some_refused = asyncio.Event()

    async def body() -> AsyncIterator[bytes]:
        yield b"[" + b" " * 900_000
        await some_refused.wait()
        yield record + b"]"

    async def large() -> int:
        status = (await send(tenant, body(), "application/json")).status
        if status == 503:
            some_refused.set()
        return status

    async with asyncio.timeout(20):
        assert sorted(await asyncio.gather(*(large() for _ in range(4)))) == [200, 200, 503, 503]
        assert (await send(tenant, b"[" + b" " * 900_000 + record + b"]", "application/json")).status == 200


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        (b"", {"Content-Type": "application/json"}, 400),
        (b"", {"Content-Type": "text/csv"}, 400),
        (b"{}", {"Content-Type": "application/json"}, 400),
        (b"[" * 100_000, {"Content-Type": "application/json"}, 400),
        (b"[NaN]", {"Content-Type": "application/json"}, 400),
        (b"x" * 2_000_000, {}, 400),
        (b"no gzip", {"Content-Encoding": "gzip"}, 400),
        (gzip.compress(b"{}\n" * 1000, mtime=0)[:-9], {"Content-Encoding": "gzip"}, 400),
        (b"{}", {"Content-Encoding": "br"}, 415),
        (b"{}", {"Content-Type": "text/plain"}, 415),
        (b"sensor,value\n", {"Content-Type": "text/csv"}, 400),
        (
            gzip.compress(b" " * 40_000_000, mtime=0),
            {"Content-Encoding": "gzip", "Content-Type": "application/json"},
            413,
        ),
    ],
)
async def test_bodies_that_are_refused(tenant: Tenant, body: bytes, headers: dict[str, str], status: int) -> None:
    response = await send(tenant, io.BytesIO(body), headers=headers)
    assert response.status == status, await response.text()
    assert set(await response.json()) in ({"error"}, {"accepted", "rejected", "errors", "ended"})


async def test_who_may_send(tenant: Tenant) -> None:
    sensor = await tenant.sensor()
    body = as_ndjson([{"sensor": sensor, "timestamp": "2021-01-01T00:00:00Z", "value": 1}])
    made = {}
    for scope in ("ingest", "sensor_data"):
        made[scope] = (await (await tenant.manage("POST", "api-tokens", {"scopes": [scope]})).json())["token"]

    async def status(authorization: str) -> int:
        url = f"{tenant.base}/api/v1/readings"
        headers = {"Authorization": authorization, "Content-Type": "application/x-ndjson"}
        async with tenant.session.post(url, data=body, headers=headers) as response:
            return response.status

    basic = b64encode(f"anyone:{made['ingest']}".encode()).decode()
    for authorization in (f"Bearer {made['ingest']}", f"Basic {basic}", f"Token {made['ingest']}"):
        assert await status(authorization) == 200
    assert await status(f"Bearer {made['sensor_data']}") == 403
    assert await status("Basic !!!") == 401
    assert await status("Digest x") == 401
    assert (await send(tenant, body, headers={"ORGANIZATION-API-KEY": "wrong"})).status == 401


async def test_the_error_for_an_organization_key_in_the_wrong_header_names_the_right_ones(tenant: Tenant) -> None:
    pairs = (f"any:{tenant.api_key}", f"{tenant.organization_id}:{tenant.api_key}", f"{tenant.api_key}:")
    basic = [f"Basic {b64encode(pair.encode()).decode()}" for pair in pairs]
    for path in ("/api/v1/readings", "/write", "/api/v2/write", "/api/v1/write", "/api/v1/sensors"):
        for sent in (f"Bearer {tenant.api_key}", f"Token {tenant.api_key}", tenant.api_key, *basic):
            method = "GET" if path.endswith("sensors") else "POST"
            async with tenant.session.request(
                method, f"{tenant.base}{path}", headers={"Authorization": sent}
            ) as response:
                text = await response.text()
            assert response.status == 401
            assert "ORGANIZATION-API-KEY" in text
            assert "ORGANIZATION-ID" in text
            assert tenant.api_key not in text


async def test_a_token_for_certain_cooling_units_stores_readings_of_their_sensors_only(tenant: Tenant) -> None:
    for unit in (1, 2):
        assert (await tenant.manage("POST", "cooling-units", {"id": unit})).status == 201
        assert (await tenant.manage("POST", "sensors", {"id": f"of-{unit}", "asset_id": unit})).status == 201
    await tenant.manage("POST", "sensors", {"id": "of-none"})
    fields = {"scopes": ["ingest"], "cooling_unit_ids": [2]}
    token = (await (await tenant.manage("POST", "api-tokens", fields)).json())["token"]
    headers = {"Authorization": f"Bearer {token}"}
    records = [{"sensor": f"of-{unit}", "timestamp": "2021-01-01T00:00:00Z", "value": 1} for unit in ("1", "2", "none")]
    async with tenant.session.post(f"{tenant.base}/api/v1/readings", json=records, headers=headers) as response:
        answer = await response.json()
    assert (response.status, answer["accepted"], [one["index"] for one in answer["errors"]]) == (207, 1, [0, 2])
    for path in ("write", "api/v2/write", "api/v3/write_lp", "api/v1/write", "api/v1/collectd"):
        async with tenant.session.post(f"{tenant.base}/{path}", data=b"m v=1", headers=headers) as response:
            assert response.status == 403


async def test_a_foreign_sensor_looks_like_an_unknown_one(
    tenant: Tenant, make_tenant: MakeTenant, service: Service
) -> None:
    other = await make_tenant(service)
    sensor = await other.sensor()
    response = await send(tenant, as_ndjson([{"sensor": sensor, "timestamp": "2021-01-01T00:00:00Z", "value": 1}]))
    assert response.status == 422
    assert (await response.json())["errors"][0]["message"] == f"There is no sensor '{sensor}'."


async def test_deleting_a_window_corrects_statistics_at_once(tenant: Tenant) -> None:
    sensor = await tenant.sensor()
    records = [{"sensor": sensor, "timestamp": f"2021-03-{day:02d}T12:00:00Z", "value": day} for day in range(1, 31)]
    assert (await send(tenant, as_json(records), "application/json")).status == 200
    window = {"start": "2021-03-10T12:00:00Z", "end": "2021-03-30T12:00:00Z"}
    response = await tenant.manage("DELETE", "readings", sensor=sensor, **window)
    assert await response.json() == {"deleted": 21}
    assert await statistics(tenant, sensor) == [{"min": "1", "max": "9", "avg": "5"}]
    assert len(await stored(tenant, sensor)) == 9
    for wrong in (
        {"sensor": sensor},
        {**window, "sensor": "nobody"},
        {**window},
        {**window, "sensor": sensor, "x": "1"},
    ):
        assert (await tenant.manage("DELETE", "readings", **wrong)).status in (400, 404)


async def test_readings_a_minute_are_limited_for_all_workers_together(
    service: Service, start_service: StartService, make_tenant: MakeTenant
) -> None:
    several = start_service(service.database_url, TIDEMARK_WORKERS="2")
    tenant = await make_tenant(several)
    sensor = await tenant.sensor()
    await tenant.limit(readings_per_minute=1000)
    body = as_json([{"sensor": sensor, "timestamp": f"2021-01-01T00:00:00.{n:03d}Z", "value": n} for n in range(300)])
    # The bodies fall into two minutes at most, and three of the eight pass in each.
    answers = [await send(tenant, body, "application/json", headers={"Connection": "close"}) for _ in range(8)]
    statuses = [answer.status for answer in answers]
    assert 3 <= statuses.count(200) <= 6
    assert set(statuses) == {200, 429}
    refused = next(answer for answer in answers if answer.status == 429)
    assert 1 <= int(refused.headers["Retry-After"]) <= 60
    assert (await refused.json())["error"]["code"] == "rate_limit_exceeded"
    # Uploads to the sensor API count too.
    await tenant.limit(readings_per_minute=3)
    singles = [(await tenant.upload(sensor, ago(seconds=number), number)).status for number in range(20)]
    assert singles.count(201) <= 6
    assert set(singles) <= {201, 429}


async def test_a_stream_ends_at_the_limit_with_its_counts(tenant: Tenant) -> None:
    sensor = await tenant.sensor()
    records = [{"sensor": sensor, "timestamp": second_of_2021(number), "value": number} for number in range(25)]
    await tenant.limit(readings_per_minute=10)
    response = await send(tenant, as_ndjson(records))
    answer = await response.json()
    assert (response.status, answer["rejected"]) == (429, 0)
    assert answer["accepted"] in (10, 20)  # a minute may have ended in between
    assert "10 readings a minute" in answer["ended"]
    assert 1 <= int(response.headers["Retry-After"]) <= 60
    assert [float(one["value"]) for one in await stored(tenant, sensor)][-1] >= answer["accepted"] - 1
