"""Line protocol and Prometheus remote write: what Telegraf, InfluxDB's clients and Prometheus send."""

import asyncio
import io
import json
import math
import re
import time
from collections.abc import Mapping
from importlib.metadata import version
from typing import Any

import asyncpg
import cramjam
import pytest
from aiohttp import ClientResponse
from tidemark.base.values import parse_instant

from tests.conftest import MakeTenant, Service, Tenant
from tests.readings.prometheus import V2, Series, packed, write_request, write_request_2


async def post(
    tenant: Tenant, path: str, body: bytes, headers: Mapping[str, str] | None = None, **parameters: str
) -> ClientResponse:
    """Post a body with the organization's key. Returns the response with its body read."""
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


async def test_a_line_without_a_timestamp_gets_the_time_of_its_arrival(tenant: Tenant) -> None:
    before = time.time_ns() // 1000
    assert (await post(tenant, "/write", b"m v=1")).status == 204
    ((timestamp, _),) = await readings(tenant, "m.v")
    assert before <= parse_instant(timestamp) <= time.time_ns() // 1000


async def test_good_lines_are_stored_and_bad_ones_reported_in_the_shape_of_each_version(tenant: Tenant) -> None:
    body = b'm v=1 1700000000000000000\nm v="text" 1700000000000000000\nnonsense\nm w=2 1700000000000000000\n'
    response = await post(tenant, "/write", body)
    assert response.status == 400
    message = (await response.json())["error"]
    assert message.startswith("partial write: line 2: ")
    assert message.endswith(" dropped=2")
    response = await post(tenant, "/api/v2/write", body)
    answer = await response.json()
    assert answer["message"].startswith("partial write: line 2: ")
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


async def test_a_series_is_found_anew_after_its_sensor_was_renamed_or_deleted(
    service: Service, make_tenant: MakeTenant
) -> None:
    one, other = await make_tenant(service), await make_tenant(service)

    async def sensors(tenant: Tenant) -> dict[str, str]:
        return {one["name"]: one["id"] for one in (await (await tenant.manage("GET", "sensors")).json())["data"]}

    async def send(second: int) -> None:
        body = f"m,tag=1 v={second} 170000000{second}000000000\nm,tag=2 v={second} 170000000{second}000000000".encode()
        assert [(await post(tenant, "/write", body)).status for tenant in (one, other)] == [204, 204]

    first, second = "m.v{tag=1}", "m.v{tag=2}"
    await send(0)
    await send(1)  # by what is remembered
    before = await sensors(other)
    ids = await sensors(one)
    assert (await one.manage("PATCH", f"sensors/{ids[first]}", {"name": "renamed"})).status == 200
    assert (await one.manage("DELETE", f"sensors/{ids[second]}")).status == 204
    await send(2)
    values = {name: [value for _, value in await readings(one, name)] for name in await sensors(one)}
    assert values == {"renamed": ["0", "1"], first: ["2"], second: ["2"]}
    assert await sensors(other) == before
    assert [value for _, value in await readings(other, first)] == ["0", "1", "2"]


def databases(*names: str, statement_id: int = 0) -> Any:
    """InfluxDB 1's response that lists these databases."""
    series = [{"name": "databases", "columns": ["name"], "values": [[name] for name in names]}]
    return {"results": [{"statement_id": statement_id, "series": series}]}


async def influx_query(tenant: Tenant, statement: str, method: str = "POST") -> Any:
    """Send a statement to `/query` with the organization's key. Returns the document."""
    url, headers = f"{tenant.base}/query", tenant.keys
    async with tenant.session.request(method, url, params={"q": statement}, headers=headers) as response:
        assert response.status == 200, await response.text()
        return await response.json()


async def test_databases_that_were_created_are_shown_to_their_organization(
    tenant: Tenant, make_tenant: MakeTenant, service: Service
) -> None:
    made = {"results": [{"statement_id": 0}]}
    statements = ("create database b", 'CREATE DATABASE "a; \\"b\\" \u3000" WITH DURATION INF REPLICATION 1 NAME "x";')
    for statement in (*statements, *statements, "CREATE DATABASE IF NOT EXISTS tidemark"):
        assert await influx_query(tenant, statement) == made
    ours = ("tidemark", 'a; "b" \u3000', "b")
    assert await influx_query(tenant, "SHOW DATABASES", "GET") == databases(*ours)
    in_a_get = await influx_query(tenant, "create database c; show databases", "GET")
    assert "POST" in in_a_get["results"][0]["messages"][0]["text"]
    assert in_a_get["results"][1] == databases(*ours, "c", statement_id=1)["results"][0]
    assert await influx_query(await make_tenant(service), "SHOW DATABASES") == databases("tidemark")
    url = f"{tenant.base}/query"
    async with tenant.session.head(url, params={"q": "CREATE DATABASE d"}, headers=tenant.keys) as response:
        assert response.status == 200
    for number in range(120):
        await influx_query(tenant, f"CREATE DATABASE n{number:03}")
    assert await influx_query(tenant, "SHOW DATABASES") == databases(
        "tidemark", *(f"n{one:03}" for one in range(20, 120))
    )
    wrong = {"Authorization": f"Bearer {tenant.api_key}"}
    async with tenant.session.post(url, data={"q": "SHOW DATABASES"}, headers=wrong) as response:
        assert response.status == 401
        assert "ORGANIZATION-API-KEY" in (await response.json())["error"]
    async with tenant.session.post(url, data={"q": 'CREATE DATABASE "a\0"'}, headers=tenant.keys) as response:
        assert response.status == 400


@pytest.mark.parametrize("kept", ["DURATION 3d", "duration 1h30m NAME x", "DURATION 52w REPLICATION 1"])
async def test_a_database_with_a_retention_time_is_refused(tenant: Tenant, kept: str) -> None:
    for method in ("GET", "POST"):
        parameters = {"q": f"CREATE DATABASE before; CREATE DATABASE mine WITH {kept}"}
        async with tenant.session.request(
            method, f"{tenant.base}/query", params=parameters, headers=tenant.keys
        ) as response:
            assert response.status == 400
            assert "Retention cannot be set" in (await response.json())["error"]
    assert await influx_query(tenant, "SHOW DATABASES") == databases("tidemark")


@pytest.mark.parametrize(
    "kept", ["DURATION INF", "duration inf NAME x", "DURATION 0s", "REPLICATION 1 SHARD DURATION 1h NAME x", "NAME x"]
)
async def test_a_database_that_keeps_readings_for_ever_is_created(tenant: Tenant, kept: str) -> None:
    await influx_query(tenant, f"CREATE DATABASE mine WITH {kept}; CREATE DATABASE other")
    assert await influx_query(tenant, "SHOW DATABASES") == databases("tidemark", "mine", "other")


async def v2(tenant: Tenant, path: str, status: int = 200, method: str = "GET", **options: Any) -> Any:
    """Send a request to InfluxDB 2's API as the organization. Returns the document."""
    url = f"{tenant.base}/api/v2/{path}"
    async with tenant.session.request(method, url, headers=tenant.keys, **options) as response:
        assert response.status == status, await response.text()
        return await response.json()


async def test_buckets_and_organizations_are_found_as_in_influxdb_2(
    tenant: Tenant, make_tenant: MakeTenant, service: Service
) -> None:
    other = await make_tenant(service)
    (organization,) = (await v2(tenant, "orgs"))["orgs"]
    (foreign,) = (await v2(other, "orgs"))["orgs"]
    assert organization["name"] == "Test"
    for query in ("org=Test", f"orgID={organization['id']}", f"org={tenant.organization_id}"):
        assert (await v2(tenant, f"orgs?{query}"))["orgs"] == [organization]
    assert await v2(tenant, f"orgs/{organization['id']}") == organization
    for path in (f"orgs?orgID={foreign['id']}", f"orgs/{foreign['id']}", "orgs?org=x", "buckets?org=x", "buckets/x"):
        assert (await v2(tenant, path, 404))["code"] == "not found"

    for number in range(25):
        await influx_query(tenant, f"CREATE DATABASE b{number:02}")
    whole = await v2(tenant, "buckets?limit=100")
    names = ["tidemark", *(f"b{number:02}" for number in range(25))]
    assert [one["name"] for one in whole["buckets"]] == names
    assert {one["orgID"] for one in whole["buckets"]} == {organization["id"]}
    first = await v2(tenant, "buckets")
    rest = await v2(tenant, first["links"]["next"].removeprefix("/api/v2/"))
    assert first["buckets"] + rest["buckets"] == whole["buckets"]
    assert "next" not in rest["links"]
    one = whole["buckets"][3]
    assert (await v2(tenant, f"buckets?after={whole['buckets'][2]['id']}&limit=1"))["buckets"] == [one]
    for query in (f"name={one['name']}", f"id={one['id']}", f"name={one['name']}&orgID={organization['id']}&org=Test"):
        assert (await v2(tenant, f"buckets?{query}"))["buckets"] == [one]
    assert await v2(tenant, f"buckets/{one['id']}") == one
    assert (await v2(tenant, "buckets?name=x"))["buckets"] == []
    assert (await v2(tenant, f"buckets?orgID={foreign['id']}"))["buckets"] == []
    for query in ("id=x", f"name=x&orgID={organization['id']}"):
        assert (await v2(tenant, f"buckets?{query}", 404))["code"] == "not found"
    for query in ("limit=0", "limit=101", "offset=-1"):
        assert (await v2(tenant, f"buckets?{query}", 400))["code"] == "invalid"

    document = {"name": "مخزن\u200c", "orgID": organization["id"], "retentionRules": []}
    made = await v2(tenant, "buckets", 201, "POST", json=document)
    assert (await v2(tenant, "buckets", 201, "POST", json=document))["id"] == made["id"]
    assert (await v2(tenant, f"buckets?name={made['name']}"))["buckets"][0]["id"] == made["id"]
    for change, status in (
        ({"orgID": foreign["id"]}, 404),
        ({"name": None}, 400),
        ({"name": "a\0"}, 400),
        ({"retentionRules": [{"type": "expire", "everySeconds": 3600}]}, 400),
    ):
        await v2(tenant, "buckets", status, "POST", json={**document, **change})
    for path in ("buckets", "orgs"):
        async with tenant.session.get(f"{tenant.base}/api/v2/{path}") as response:
            assert (response.status, set(await response.json())) == (401, {"code", "message"})


async def test_lines_as_influxdb_3_accepts_them(tenant: Tenant) -> None:
    body = b"m v=1 1700000000\nm v=2 1700000001000\n\nm v=3 1700000002000000\nm v=4 1700000003000000000\nm v=5"
    url, right = "/api/v3/write_lp", [f"2023-11-14T22:13:2{second}.000000Z" for second in range(4)]
    assert (await post(tenant, url, body, db="any", no_sync="false", accept_partial="true")).status == 204
    stored = await readings(tenant, "m.v")
    assert stored[:4] == list(zip(right, "1234", strict=True))
    assert parse_instant(stored[4][0]) == pytest.approx(time.time() * 1e6, abs=60e6)
    for precision in ("second", "s"):
        assert (await post(tenant, url, b"n v=1 1700000000", precision=precision)).status == 204
    assert await readings(tenant, "n.v") == [(right[0], "1")]
    for name, value in (("no_sync", "true"), ("no_sync", "1"), ("accept_partial", "no"), ("precision", "n")):
        response = await post(tenant, f"{url}?{name}={value}", b"o v=1")
        assert (response.status, set(await response.json())) == (400, {"error"})
        assert name in (await response.json())["error"]
    assert (await post(tenant, url, b"o v=1", {"ORGANIZATION-API-KEY": "wrong"})).status == 401


async def test_bad_lines_are_reported_as_in_influxdb_3_and_fail_the_others_if_asked_to(tenant: Tenant) -> None:
    body = b'# none\np v=1 1700000000\np v="text" 1700000000\nq v=1 1700000000\nnonsense'
    response = await post(tenant, "/api/v3/write_lp", body, accept_partial="false")
    answer = await response.json()
    assert (response.status, answer["error"]) == (400, "parsing failed for write_lp endpoint")
    assert (answer["data"]["line_number"], answer["data"]["original_line"]) == (2, 'p v="text" 1700000000')
    page = await (await tenant.manage("GET", "sensors")).json()
    assert page["data"] == [], "nothing is stored, and no sensor made"
    response = await post(tenant, "/api/v3/write_lp", body)
    answer = await response.json()
    assert (response.status, answer["error"]) == (400, "partial write of line protocol occurred")
    assert [(one["line_number"], one["original_line"]) for one in answer["data"]] == [
        (2, 'p v="text" 1700000000'),
        (4, "nonsense"),
    ]
    assert all(one["error_message"] for one in answer["data"])
    assert await readings(tenant, "p.v") == await readings(tenant, "q.v") == [("2023-11-14T22:13:20.000000Z", "1")]
    good = b"p v=2 1700000001\nr v=1 1700000000"
    assert (await post(tenant, "/api/v3/write_lp", good, accept_partial="false")).status == 204
    connection = await asyncpg.connect(tenant.database_url)
    await connection.execute("UPDATE organization SET sensor_limit = 3 WHERE company_id = $1", tenant.company_id)
    await connection.close()
    response = await post(tenant, "/api/v3/write_lp", b"p v=3 1700000002\ns v=1", accept_partial="false")
    assert (response.status, "limit" in (await response.json())["data"]["error_message"]) == (400, True)
    assert len(await readings(tenant, "p.v")) == 2


async def test_lines_that_are_refused_together_create_no_sensor(tenant: Tenant) -> None:
    async def names() -> list[str]:
        return [one["name"] for one in (await (await tenant.manage("GET", "sensors")).json())["data"]]

    connection = await asyncpg.connect(tenant.database_url)
    await connection.execute("UPDATE organization SET sensor_limit = 2 WHERE company_id = $1", tenant.company_id)
    await connection.close()
    url, lines = "/api/v3/write_lp", b"a v=1 1700000000\nb v=1 1700000000\nc v=1 1700000000"
    response = await post(tenant, url, lines, accept_partial="false")
    told = (await response.json())["data"]
    assert (response.status, told["line_number"], "limit" in told["error_message"]) == (400, 3, True)
    assert await names() == []
    await tenant.limit(readings_per_minute=1)
    assert (await post(tenant, url, b"a v=1 1700000000\nb v=1 1700000000", accept_partial="false")).status == 429
    assert await names() == []
    assert (await post(tenant, url, b"a v=1 1700000000", accept_partial="false")).status == 204
    assert await names() == ["a.v"]


async def test_timestamps_in_1970_without_precision_are_logged_once(tenant: Tenant, service: Service) -> None:
    def hints() -> list[str]:
        lines = service.output.read_text().splitlines()
        return [line for line in lines if "1970" in line and f'"company_id":{tenant.company_id},' in line + ","]

    for path in ("/write", "/api/v2/write"):
        assert (await post(tenant, path, b"m v=1 1700000000000000000\nm v=1")).status == 204
        assert (await post(tenant, path, b"m v=1 1700000000", precision="s")).status == 204
        assert (await post(tenant, path, b"m v=1 1", precision="ns")).status == 204
    assert (await post(tenant, "/api/v3/write_lp", b"m v=1 1700000000")).status == 204
    assert hints() == []
    for stamp in (1_700_000_000, 1_700_000_000_000, 1_700_000_000_000_000):
        assert (await post(tenant, "/write", f"m v=1 1700000000000000000\nm v=1 {stamp}".encode())).status == 204
    (hint,) = hints()
    assert "precision=s, ms or us" in hint


async def test_what_clients_ask_before_they_write(tenant: Tenant) -> None:
    for method in ("GET", "HEAD"):
        async with tenant.session.request(method, f"{tenant.base}/ping") as response:
            assert response.status == 204
            assert response.headers["X-Influxdb-Version"].startswith("1.8.")
            assert response.headers["X-Tidemark-Version"] == version("tidemarkdb")
    async with tenant.session.get(f"{tenant.base}/health") as response:
        health = await response.json()
        assert (health["status"], health["version"]) == ("pass", "1.8.0")
        assert health["tidemark_version"] == response.headers["X-Tidemark-Version"] == version("tidemarkdb")
    async with tenant.session.get(f"{tenant.base}/ready") as response:
        answer = await response.json()
        assert (response.status, answer["status"], set(answer)) == (200, "ready", {"status", "started", "up"})
    assert parse_instant(answer["started"]) <= time.time_ns() // 1000
    assert re.fullmatch(r"\d+h\d+m\d+s", answer["up"])
    async with tenant.session.post(f"{tenant.base}/query", data={"q": 'CREATE DATABASE "telegraf"'}) as response:
        assert await response.json() == {"results": [{"statement_id": 0}]}
    show = {"q": "SHOW DATABASES"}
    async with tenant.session.get(f"{tenant.base}/query", params=show) as response:
        assert await response.json() == databases("tidemark"), "what nobody has made in an organization is in none"
    for statement in ("SELECT 1", "show databases; drop database x", "show databasesfoo", "", "show databases;" * 11):
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
    """How many samples, histograms and exemplars a response of remote write says are stored."""
    kinds = ("Samples", "Histograms", "Exemplars")
    return tuple(response.headers.get(f"X-Prometheus-Remote-Write-{kind}-Written") for kind in kinds)


@pytest.mark.parametrize("headers", [V1, V2], ids=["1.0", "2.0"])
async def test_remote_write_stores_samples_and_skips_those_that_are_not_readings(
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
    other = (write_request_2 if headers is V1 else write_request)(series)
    response = await post(tenant, "/api/v1/write", packed(other), headers)
    assert (response.status, written(response)) == (400, ("0", "0", "0"))
    assert "looks like" in (await response.json())["error"]["message"]
    huge = cramjam.snappy.compress_raw(bytes(40_000_000))
    assert (await post(tenant, "/api/v1/write", bytes(huge), headers)).status == 413
    # Senders are only certain to retry after a 5xx.
    await tenant.limit(readings_per_minute=1)
    response = await post(tenant, "/api/v1/write", body, headers)
    assert (response.status, written(response)) == (503, ("0", "0", "0"))
    assert int(response.headers["Retry-After"]) > 0


@pytest.mark.parametrize("headers", [V1, V2], ids=["1.0", "2.0"])
async def test_remote_write_says_how_much_of_a_request_is_stored(tenant: Tenant, headers: dict[str, str]) -> None:
    now = 1_700_000_000_000
    series: list[Series] = [({"__name__": "up"}, [(1, now), (2, -5), (3, now + 1)]), ({"job": "nameless"}, [(1, now)])]
    body = packed((write_request if headers is V1 else write_request_2)(series))
    response = await post(tenant, "/api/v1/write", body, headers)
    assert response.status == 400
    assert "2 samples were rejected" in (await response.json())["error"]["message"]
    assert written(response) == ("2", "0", "0")
    assert [value for _, value in await readings(tenant, "up")] == ["1", "3"]


@pytest.mark.parametrize(
    ("content_type", "status"),
    [
        ("application/x-protobuf; proto=prometheus.WriteRequest", 204),
        ('Application/X-Protobuf;proto="prometheus.WriteRequest";x=y', 204),
        ("application/x-protobuf;proto=io.prometheus.write.v3.Request", 415),
        ("application/octet-stream", 204),
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


async def test_collectds_value_lists(tenant: Tenant) -> None:
    good = {"host": "h", "plugin": "p", "type": "t", "dsnames": ["a", "b"], "values": [1, None], "time": 1700000000.25}
    for lists, status in (([good], 200), ([good, {**good, "time": -1}], 207), ([{"name": "kairos"}], 422)):
        body = json.dumps(lists).encode()
        response = await post(tenant, "/api/v1/collectd", body, {"Content-Type": "application/json"})
        assert response.status == status
        assert (await response.json())["accepted"] == (0 if status == 422 else 1)
    assert await readings(tenant, "p.a{host=h,type=t}") == [("2023-11-14T22:13:20.250000Z", "1")]
    response = await post(tenant, "/api/v1/collectd", b"PUTVAL", {"Content-Type": "text/plain"})
    assert response.status == 415
    async with tenant.session.post(f"{tenant.base}/api/v1/collectd") as response:
        assert (response.status, "Basic" in response.headers["WWW-Authenticate"]) == (401, True)
