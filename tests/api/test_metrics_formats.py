"""Line protocol and Prometheus remote write: what Telegraf, InfluxDB's clients and Prometheus send."""

import asyncio
import io
import math
import time
from collections.abc import Mapping

import cramjam
import pytest
from aiohttp import ClientResponse

from service.ingest.values import parse_instant
from tests.conftest import Tenant
from tests.prometheus import V2, Series, packed, write_request, write_request_2


async def post(
    tenant: Tenant, path: str, body: bytes, headers: Mapping[str, str] | None = None, **parameters: str
) -> ClientResponse:
    """Post a body with the organization's key; answers the response, read."""
    url = f"{tenant.base}{path}"
    all_headers = {**tenant.keys, **(headers or {})}
    async with tenant.session.post(url, data=io.BytesIO(body), params=parameters, headers=all_headers) as response:
        await response.read()
    return response


async def readings(tenant: Tenant, name: str) -> list[tuple[str, str]]:
    """The readings of the one sensor with this name."""
    found = (await (await tenant.manage("GET", "sensors", name=name)).json())["data"]
    assert len(found) == 1, f"{len(found)} sensors are named {name}"
    answer = await (await tenant.fetch("get_inputdata_by_inputs", input_ids=found[0]["id"])).json()
    return [(record["timestamp"], record["value"]) for record in answer[0]["inputdata"]]


@pytest.mark.parametrize("path", ["/write", "/api/v2/write"])
async def test_lines_become_sensors_on_first_sight(tenant: Tenant, path: str) -> None:
    body = (
        b"cpu,region=eu,host=a load=0.5,cores=8i,up=t 1700000000123456789\n"
        b"# a comment\n"
        b"cpu,host=a,region=eu load=0.75 1700000001000000000\r\n"
        b"plain value=1e3 1700000000000000001"
    )
    for _ in range(2):
        response = await post(tenant, path, body, db="telegraf", org="o", bucket="b")
        assert response.status == 204
    assert await readings(tenant, "cpu.load{host=a,region=eu}") == [
        ("2023-11-14T22:13:20.123456Z", "0.5"),
        ("2023-11-14T22:13:21.000000Z", "0.75"),
    ]
    assert await readings(tenant, "cpu.cores{host=a,region=eu}") == [("2023-11-14T22:13:20.123456Z", "8")]
    assert await readings(tenant, "cpu.up{host=a,region=eu}") == [("2023-11-14T22:13:20.123456Z", "1")]
    assert await readings(tenant, "plain.value") == [("2023-11-14T22:13:20.000000Z", "1000")]


@pytest.mark.parametrize(
    ("path", "precision", "stamp"),
    [("/write", "h", 400_000), ("/write", "u", 1_440_000_000_000_000), ("/api/v2/write", "s", 1_440_000_000)],
)
async def test_precisions(tenant: Tenant, path: str, precision: str, stamp: int) -> None:
    assert (await post(tenant, path, f"m v=1 {stamp}".encode(), precision=precision)).status == 204
    assert await readings(tenant, "m.v") == [("2015-08-19T16:00:00.000000Z", "1")]


async def test_a_line_without_a_timestamp_is_of_its_arrival(tenant: Tenant) -> None:
    before = time.time_ns() // 1000
    assert (await post(tenant, "/write", b"m v=1")).status == 204
    ((timestamp, _),) = await readings(tenant, "m.v")
    assert before <= parse_instant(timestamp) <= time.time_ns() // 1000


async def test_good_lines_are_stored_and_bad_ones_told_in_the_shape_of_each_version(tenant: Tenant) -> None:
    body = b'm v=1 1700000000000000000\nm v="text" 1700000000000000000\nnonsense\nm w=2 1700000000000000000\n'
    response = await post(tenant, "/write", body)
    assert response.status == 400
    message = (await response.json())["error"]
    assert message.startswith("partial write: ")
    assert message.endswith(" dropped=2")
    response = await post(tenant, "/api/v2/write", body)
    answer = await response.json()
    assert (response.status, set(answer), answer["code"]) == (400, {"code", "message"}, "invalid")
    assert await readings(tenant, "m.v") == [("2023-11-14T22:13:20.000000Z", "1")]
    assert await readings(tenant, "m.w") == [("2023-11-14T22:13:20.000000Z", "2")]
    assert (await post(tenant, "/write", b"m v=1", precision="fortnight")).status == 400
    assert (await post(tenant, "/write", b"m v=1", {"ORGANIZATION-API-KEY": "wrong"})).status == 401


async def test_one_sensor_for_a_series_however_many_see_it_first(tenant: Tenant) -> None:
    body = b"\n".join(b"m,tag=%d v=%d 17000000%02d000000000" % (tag, tag, tag) for tag in range(50))
    answers = await asyncio.gather(*(post(tenant, "/write", body) for _ in range(10)))
    assert {answer.status for answer in answers} == {204}
    page = await (await tenant.manage("GET", "sensors", page_size="1000")).json()
    assert len(page["data"]) == len({one["name"] for one in page["data"]}) == 50
    await tenant.limit(sensor_limit=51)
    response = await post(tenant, "/write", b"n a=1 1700000000000000000\nn b=1 1700000000000000000\nm,tag=1 v=2")
    assert response.status == 400
    assert "limit" in (await response.json())["error"]
    page = await (await tenant.manage("GET", "sensors", page_size="1000")).json()
    assert page["meta"]["pagination"]["total_count"] == 51


async def test_what_clients_ask_before_they_write(tenant: Tenant) -> None:
    for method in ("GET", "HEAD"):
        async with tenant.session.request(method, f"{tenant.base}/ping") as response:
            assert response.status == 204
            assert response.headers["X-Influxdb-Version"]
    async with tenant.session.get(f"{tenant.base}/health") as response:
        assert (await response.json())["status"] == "pass"
    async with tenant.session.post(f"{tenant.base}/query", data={"q": 'CREATE DATABASE "telegraf"'}) as response:
        assert await response.json() == {"results": [{"statement_id": 0}]}
    for statement in ("SELECT 1", "show databases; drop database x", "show databasesfoo", ""):
        async with tenant.session.get(f"{tenant.base}/query", params={"q": statement}) as response:
            assert response.status == 400
    for form, media_type in ((b"q=%ff", "application/x-www-form-urlencoded"), (b"x", "multipart/form-data")):
        headers = {"Content-Type": media_type}
        async with tenant.session.post(f"{tenant.base}/query", data=form, headers=headers) as response:
            assert response.status == 400
    async with tenant.session.post(f"{tenant.base}/query", data=b"q=" + b"x" * 100_000) as response:
        assert response.status == 413


V1 = {
    "Content-Encoding": "snappy",
    "Content-Type": "application/x-protobuf",
    "X-Prometheus-Remote-Write-Version": "0.1.0",
}


def written(response: ClientResponse) -> tuple[str | None, ...]:
    """How many samples, histograms and exemplars an answer of remote write says are stored."""
    kinds = ("Samples", "Histograms", "Exemplars")
    return tuple(response.headers.get(f"X-Prometheus-Remote-Write-{kind}-Written") for kind in kinds)


@pytest.mark.parametrize("headers", [V1, V2], ids=["1.0", "2.0"])
async def test_remote_write_stores_samples_and_skips_what_is_no_reading(
    tenant: Tenant, headers: dict[str, str]
) -> None:
    now = 1_700_000_000_000
    series: list[Series] = [
        ({"__name__": "up", "job": "node", "instance": "a:9100"}, [(1, now), (0, now + 15_000)]),
        ({"__name__": "temp"}, [(math.nan, now), (math.inf, now), (21.5, now)]),
    ]
    message = (write_request if headers is V1 else write_request_2)(series)
    message.timeseries[1].histograms.append(b"\x08\x01")
    body = packed(message)
    for _ in range(2):
        response = await post(tenant, "/api/v1/write", body, headers)
        assert response.status == 204
        assert written(response) == ("3", "0", "0")
    assert await readings(tenant, "up{instance=a:9100,job=node}") == [
        ("2023-11-14T22:13:20.000000Z", "1"),
        ("2023-11-14T22:13:35.000000Z", "0"),
    ]
    assert await readings(tenant, "temp") == [("2023-11-14T22:13:20.000000Z", "21.5")]
    for malformed in (b"", b"no snappy", cramjam.snappy.compress_raw(b"no protobuf")):
        response = await post(tenant, "/api/v1/write", bytes(malformed), headers)
        assert (response.status, set(await response.json())) == (400, {"error"})
        assert written(response) == ("0", "0", "0")
    huge = cramjam.snappy.compress_raw(bytes(40_000_000))
    assert (await post(tenant, "/api/v1/write", bytes(huge), headers)).status == 413
    # A sender surely tries again what is answered by 5xx alone.
    await tenant.limit(readings_per_minute=1)
    response = await post(tenant, "/api/v1/write", body, headers)
    assert (response.status, written(response)) == (503, ("0", "0", "0"))
    assert int(response.headers["Retry-After"]) > 0


@pytest.mark.parametrize("headers", [V1, V2], ids=["1.0", "2.0"])
async def test_remote_write_says_how_much_of_a_request_it_has_stored(tenant: Tenant, headers: dict[str, str]) -> None:
    now = 1_700_000_000_000
    series: list[Series] = [({"__name__": "up"}, [(1, now), (2, -5), (3, now + 1)]), ({"job": "nameless"}, [(1, now)])]
    body = packed((write_request if headers is V1 else write_request_2)(series))
    response = await post(tenant, "/api/v1/write", body, headers)
    assert response.status == 400
    assert "2 samples are refused" in (await response.json())["error"]["message"]
    assert written(response) == ("2", "0", "0")
    assert [value for _, value in await readings(tenant, "up")] == ["1", "3"]


@pytest.mark.parametrize(
    ("content_type", "status"),
    [
        ("application/x-protobuf; proto=prometheus.WriteRequest", 204),
        ('Application/X-Protobuf;proto="prometheus.WriteRequest";x=y', 204),
        ("application/x-protobuf;proto=io.prometheus.write.v3.Request", 415),
        ("application/json", 415),
        ("text/plain;proto=io.prometheus.write.v2.Request", 415),
    ],
)
async def test_the_message_of_remote_write_is_negotiated(tenant: Tenant, content_type: str, status: int) -> None:
    body = packed(write_request([({"__name__": "up"}, [(1, 1_700_000_000_000)])]))
    response = await post(tenant, "/api/v1/write", body, {**V1, "Content-Type": content_type})
    assert response.status == status
    if status == 415:
        assert written(response) == (None, None, None)
        assert "io.prometheus.write.v2.Request" in (await response.json())["error"]["message"]
