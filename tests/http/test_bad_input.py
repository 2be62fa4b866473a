"""Bad input gets a clear error in the shape of the sensor API, never a 5xx, and harms nothing else."""

import gzip
import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from yarl import URL

from tests.conftest import MakeTenant, Service, StartService, Tenant, upload_body
from tests.http.wire import LANES, Answer, connected, head, read_answer, request, talk, upload_path

GOOD = "2020-10-13T14:02:39.489000Z"
ATTRIBUTES = "/data/attributes"
SENSOR = "/data/relationships/sensor/data/id"
SQL = "'; DROP TABLE reading; --"


@pytest.fixture
async def sensor(tenant: Tenant) -> str:
    """A sensor with one good reading."""
    made = await tenant.sensor()
    assert (await tenant.upload(made, GOOD, "12.5")).status == 201
    return made


async def records(tenant: Tenant, sensor: str) -> Any:
    """All readings of a sensor, the oldest first."""
    return (await (await tenant.fetch("get_inputdata_by_inputs", input_ids=sensor)).json())[0]["inputdata"]


async def assert_unharmed(tenant: Tenant, sensor: str) -> None:
    """The good reading is there, and nothing else."""
    assert await records(tenant, sensor) == [{"timestamp": GOOD, "value": "12.5"}]


def assert_error(answer: Answer, status: int, **source: str) -> None:
    """Assert that the response is one JSON:API error object that names the source of the error."""
    assert answer.status == status, answer.body
    assert answer.headers["content-type"].partition(";")[0] == "application/vnd.api+json"
    [error] = answer.document["errors"]
    assert set(error) == {"status", "title", "detail", "source"}
    assert error["status"] == str(status)
    assert error["detail"]
    if source:
        assert error["source"] == source


async def through_both_lanes(
    tenant: Tenant, target: str, body: bytes, headers: Mapping[str, str] | None = None
) -> Answer:
    """Send an upload through both lanes, which must respond alike. Returns the response."""
    answers = {}
    for lane, more in LANES.items():
        [answer] = await talk(tenant.base, request(tenant, target, body, {**(headers or {}), **more}))
        assert answer.lane == lane
        shown = {name: answer.headers.get(name) for name in ("content-type", "www-authenticate", "retry-after")}
        answers[lane] = (answer.status, shown, answer.body)
    assert answers["express"] == answers["aiohttp"]
    return answer


def reading(sensor: str, timestamp: str = GOOD, value: Any = "12.5", **attributes: Any) -> bytes:
    """The body of an upload."""
    return json.dumps(upload_body(sensor, timestamp, value, **attributes)).encode()


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        (b"", ""),
        (b"{", ""),
        (b"\xff\xfe", ""),
        (b'{"data": {"type": "\xff"}}', ""),
        (b'{"data": {"type": "\\ud800"}}', ""),
        (b"value=12.5", ""),
        (b"[" * 10_000, ""),
        (b"null", ""),
        (b"[]", ""),
        (b'"text"', ""),
        (b"12.5", ""),
        (b"{}", ""),
        (b'{"data": []}', "/data"),
        (b'{"data": {"type": "SensorData"}}', "/data"),
        (b'{"data": {"type": 7}}', "/data/type"),
        (b'{"data": {"type": "SensorData", "attributes": []}}', "/data/attributes"),
    ],
    ids=lambda given: repr(given)[:40],
)
async def test_body_of_the_wrong_shape(body: bytes, pointer: str, tenant: Tenant, sensor: str) -> None:
    answer = await through_both_lanes(tenant, upload_path(sensor), body)
    assert_error(answer, 400, pointer=pointer)
    await assert_unharmed(tenant, sensor)


@pytest.mark.parametrize(
    "value",
    [
        '"NaN"',
        '"nan"',
        '"Infinity"',
        '"-inf"',
        '"1e400"',
        "1e400",
        "-1e400",
        "1" + "0" * 400,
        "1.1e150",
        '"1.1e150"',
        '"12,5"',
        '"1_000"',
        '"0x1F"',
        '"१२"',
        '"12.5 "',
        '""',
        '"twelve"',
        "true",
        "null",
        "[12.5]",
        "{}",
        '"\\u0000"',
        f'"{"9" * 1000}"',
    ],
    ids=lambda given: str(given)[:40],
)
async def test_value_that_is_no_number(value: str, tenant: Tenant, sensor: str) -> None:
    body = reading(sensor, value="VALUE").replace(b'"VALUE"', value.encode())
    answer = await through_both_lanes(tenant, upload_path(sensor), body)
    assert_error(answer, 400, pointer=f"{ATTRIBUTES}/value")
    await assert_unharmed(tenant, sensor)


async def test_nan_as_a_literal_is_not_json(tenant: Tenant, sensor: str) -> None:
    answer = await through_both_lanes(tenant, upload_path(sensor), reading(sensor, value=float("nan")))
    assert_error(answer, 400, pointer="")
    await assert_unharmed(tenant, sensor)


@pytest.mark.parametrize(
    "timestamp",
    [
        "",
        "yesterday",
        "1602597759",
        "0001-01-01T00:00:00Z",
        "0000-01-01T00:00:00Z",
        "1969-12-31T23:59:59.999999Z",
        "1970-01-01T00:00:00+00:01",
        pytest.param((datetime.now(UTC) + timedelta(weeks=1)).isoformat(), id="in a week"),
        "9999-12-31T23:59:59-23:59",
        "10000-01-01T00:00:00Z",
        "2020-02-30T00:00:00Z",
        "2020-10-13T24:30:00Z",
        "2020-10-13T14:02:60Z",
        "2020-10-13T14:02:39+25:00",
        "13/10/2020 14:02",
        "2020-10-13T14:02:39.489Z\n",
        "２０２０-10-13T14:02:39Z",
    ],
)
async def test_timestamp_that_no_reading_can_have(timestamp: str, tenant: Tenant, sensor: str) -> None:
    await assert_refused(timestamp, tenant, sensor)


async def test_a_timestamp_just_more_than_a_day_ahead(tenant: Tenant, sensor: str) -> None:
    await assert_refused((datetime.now(UTC) + timedelta(days=1, minutes=5)).isoformat(), tenant, sensor)


async def assert_refused(timestamp: str, tenant: Tenant, sensor: str) -> None:
    answer = await through_both_lanes(tenant, upload_path(sensor), reading(sensor, timestamp))
    assert_error(answer, 400, pointer=f"{ATTRIBUTES}/timestamp")
    await assert_unharmed(tenant, sensor)


@pytest.mark.parametrize(
    ("timestamp", "instant"),
    [
        ("2020-10-13T14:02:39", "2020-10-13T14:02:39.000000Z"),
        ("2020-10-13 14:02:39.5", "2020-10-13T14:02:39.500000Z"),
        ("2020-10-13T14:02:39+05:30", "2020-10-13T08:32:39.000000Z"),
        ("2020-10-13T14:02:39.1234567-0300", "2020-10-13T17:02:39.123456Z"),
        ("1970-01-01T00:00:00Z", "1970-01-01T00:00:00.000000Z"),
    ],
)
async def test_timestamp_in_another_zone_or_in_none(timestamp: str, instant: str, tenant: Tenant) -> None:
    sensor = await tenant.sensor()
    answer = await through_both_lanes(tenant, upload_path(sensor), reading(sensor, timestamp))
    assert answer.status == 201
    assert answer.document["data"]["attributes"]["timestamp"] == instant
    assert await records(tenant, sensor) == [{"timestamp": instant, "value": "12.5"}]


@pytest.mark.parametrize(
    ("attributes", "field"),
    [
        ({"latitude": 90.1}, "latitude"),
        ({"latitude": "north"}, "latitude"),
        ({"longitude": "-180.5"}, "longitude"),
        ({"longitude": [1]}, "longitude"),
        ({"x_axis_value": "1e151"}, "x_axis_value"),
        ({"x_axis_value": False}, "x_axis_value"),
        ({"metadata": "m" * 70_000}, "metadata"),
    ],
)
async def test_further_attributes_out_of_range(
    attributes: dict[str, Any], field: str, tenant: Tenant, sensor: str
) -> None:
    body = reading(sensor, value=1, **attributes)
    [answer] = await talk(tenant.base, request(tenant, upload_path(sensor), body))
    assert_error(answer, 400, pointer=f"{ATTRIBUTES}/{field}")
    await assert_unharmed(tenant, sensor)


@pytest.mark.parametrize("missing", ["value", "timestamp"])
async def test_missing_attribute_is_named(missing: str, tenant: Tenant, sensor: str) -> None:
    document = upload_body(sensor, GOOD, "13")
    del document["data"]["attributes"][missing]
    answer = await through_both_lanes(tenant, upload_path(sensor), json.dumps(document).encode())
    assert_error(answer, 400)
    assert missing in answer.document["errors"][0]["detail"]
    await assert_unharmed(tenant, sensor)


@pytest.mark.parametrize(
    ("field", "status"),
    [("value", 400), ("timestamp", 400), ("latitude", 400), ("metadata", 400), ("unheard", 201)],
)
async def test_ten_megabytes_in_one_field(field: str, status: int, tenant: Tenant, sensor: str) -> None:
    document = upload_body(sensor, GOOD, "12.5")
    document["data"]["attributes"][field] = "9" * 10_000_000
    [answer] = await talk(tenant.base, request(tenant, upload_path(sensor), json.dumps(document).encode()))
    assert answer.status == status
    assert len(answer.body) < 1000
    await assert_unharmed(tenant, sensor)


async def test_body_beyond_the_limit_is_refused(tenant: Tenant, sensor: str) -> None:
    body = reading(sensor, metadata="m" * (33 << 20))
    for sent, headers in ((body, {}), (gzip.compress(body, 1), {"Content-Encoding": "gzip"})):
        [answer] = await talk(tenant.base, request(tenant, upload_path(sensor), sent, headers))
        assert_error(answer, 413)
    await assert_unharmed(tenant, sensor)


async def test_smaller_limit_holds_in_both_lanes(
    migrated_url: str, start_service: StartService, make_tenant: MakeTenant
) -> None:
    tenant = await make_tenant(start_service(migrated_url, TIDEMARK_MAX_BODY="2000"))
    sensor = await tenant.sensor()
    for size, status in ((100, 201), (2000, 413)):
        for headers in LANES.values():
            sent = request(tenant, upload_path(sensor), reading(sensor, metadata="m" * size), headers)
            [answer] = await talk(tenant.base, sent)
            assert answer.status == status


async def test_unknown_and_foreign_sensors_get_the_same_response(
    tenant: Tenant, sensor: str, service: Service, make_tenant: MakeTenant
) -> None:
    other = await make_tenant(service)
    foreign = await other.sensor()
    unknown = foreign[:-1] + ("A" if foreign[-1] != "A" else "B")
    answers = [await through_both_lanes(tenant, upload_path(one), reading(one)) for one in (foreign, unknown)]
    for answer in answers:
        assert_error(answer, 404, pointer=SENSOR)
    assert answers[0].body.replace(foreign.encode(), b"ID") == answers[1].body.replace(unknown.encode(), b"ID")
    for endpoint in ("get_inputdata_by_inputs", "get_latest_statistics_inputdata_by_inputs"):
        bodies = []
        for one in (foreign, unknown):
            response = await tenant.fetch(endpoint, input_ids=one)
            assert response.status == 404
            bodies.append((await response.text()).replace(one, "ID"))
        assert bodies[0] == bodies[1]
    assert await records(other, foreign) == []
    await assert_unharmed(tenant, sensor)


@pytest.mark.parametrize("strange", [SQL, '"', "sen\0", "\ud800", "%", "sensor 1", "Kühlraum", "x" * 7000])
async def test_ids_with_quotes_and_sql_in_them(strange: str, tenant: Tenant, sensor: str) -> None:
    path = upload_path(strange) if strange != "\ud800" else upload_path("X").replace("X", "%ED%A0%80")
    [answer] = await talk(tenant.base, request(tenant, path, reading(strange)))
    assert_error(answer, 400 if strange == "\ud800" else 404)
    if len(strange) < 1000 and strange != "\ud800":
        response = await tenant.fetch("get_inputdata_by_inputs", input_ids=strange)
        assert response.status == (400 if strange == '"' else 404)
    await assert_unharmed(tenant, sensor)


@pytest.mark.parametrize("strange", [SQL, "sensor 1", "Kühlraum", "100%", "a?b#c&d=e+f", "\u00a0می\u200cشود\u3000"])
async def test_strange_ids_are_ids_where_a_sensor_has_them(strange: str, tenant: Tenant) -> None:
    await tenant.sensor(id=strange)
    [answer] = await talk(tenant.base, request(tenant, upload_path(strange), reading(strange)))
    assert answer.status == 201
    assert answer.document["data"]["relationships"]["sensor"]["data"]["id"] == strange
    await assert_unharmed(tenant, strange)


async def test_path_and_body_must_name_one_sensor(tenant: Tenant, sensor: str) -> None:
    another = await tenant.sensor()
    assert_error(await through_both_lanes(tenant, upload_path(sensor), reading(another, value=7)), 409, pointer=SENSOR)
    assert await records(tenant, another) == []
    await assert_unharmed(tenant, sensor)


@pytest.mark.parametrize(
    ("headers", "source"),
    [
        ({"ORGANIZATION-ID": ""}, {"header": "ORGANIZATION-ID"}),
        ({"ORGANIZATION-API-KEY": ""}, {"header": "ORGANIZATION-API-KEY"}),
        ({"ORGANIZATION-API-KEY": "wrong"}, {}),
        ({"ORGANIZATION-API-KEY": "schlüssel"}, {}),
        ({"ORGANIZATION-ID": SQL}, {}),
        ({"organization-id": "again"}, {"header": "ORGANIZATION-ID"}),
        ({"organization-api-key": "again"}, {"header": "ORGANIZATION-API-KEY"}),
    ],
)
async def test_wrong_missing_or_repeated_key(
    headers: dict[str, str], source: dict[str, str], tenant: Tenant, sensor: str
) -> None:
    answer = await through_both_lanes(tenant, upload_path(sensor), reading(sensor, value=13), headers)
    assert_error(answer, 401, **source)
    assert "www-authenticate" in answer.headers
    await assert_unharmed(tenant, sensor)


async def test_another_organizations_key_opens_nothing(
    tenant: Tenant, sensor: str, service: Service, make_tenant: MakeTenant
) -> None:
    other = await make_tenant(service)
    headers = {"ORGANIZATION-API-KEY": other.api_key}
    assert_error(await through_both_lanes(tenant, upload_path(sensor), reading(sensor, value=13), headers), 401)
    await assert_unharmed(tenant, sensor)


async def test_key_in_the_url_is_refused(tenant: Tenant, sensor: str) -> None:
    for name in ("api_key", "ORGANIZATION-API-KEY", "token"):
        target = f"{upload_path(sensor)}?{name}={tenant.api_key}"
        [answer] = await talk(tenant.base, request(tenant, target, reading(sensor, value=13)))
        assert_error(answer, 401, parameter=name.lower())
        assert tenant.api_key.encode() not in answer.body
    await assert_unharmed(tenant, sensor)


async def test_media_type(tenant: Tenant, sensor: str) -> None:
    for media_type in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"):
        answer = await through_both_lanes(
            tenant, upload_path(sensor), reading(sensor, value=13), {"Content-Type": media_type}
        )
        assert_error(answer, 415, header="Content-Type")
    await assert_unharmed(tenant, sensor)
    for media_type in ("application/json", "Application/JSON; charset=utf-8", "application/vnd.api+json"):
        answer = await through_both_lanes(tenant, upload_path(sensor), reading(sensor), {"Content-Type": media_type})
        assert answer.status == 201


@pytest.mark.parametrize("path", ["inputs//inputdata/", "inputs/a/b/inputdata/", "inputs/a/inputdata/b", "nothing/"])
async def test_path_that_does_not_exist(path: str, tenant: Tenant) -> None:
    [answer] = await talk(tenant.base, request(tenant, f"/api/external/v1/{path}", reading("a/b")))
    assert_error(answer, 404)


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH"])
async def test_method_that_the_path_does_not_have(method: str, tenant: Tenant, sensor: str) -> None:
    [answer] = await talk(tenant.base, request(tenant, upload_path(sensor), b"", method=method))
    assert_error(answer, 405)
    assert answer.headers["allow"] == "OPTIONS, POST"


# The ways in which HTTP itself can carry a request, right or wrong.


async def test_half_a_body_is_not_stored(tenant: Tenant, sensor: str) -> None:
    body = reading(sensor, value="99")
    for lane in LANES.values():
        async with connected(tenant.base) as (reader, writer):
            writer.write(head(tenant, upload_path(sensor), {"Content-Length": str(len(body)), **lane}) + body[:-40])
            writer.write_eof()
            await reader.read()  # until the server has closed its side too
    await assert_unharmed(tenant, sensor)


@pytest.mark.parametrize("lane", LANES)
async def test_request_in_pieces(lane: str, tenant: Tenant) -> None:
    sensor = await tenant.sensor()
    sent = request(tenant, upload_path(sensor), reading(sensor), LANES[lane])
    for cut in (1, 20, sent.index(b"\r\n\r\n") + 2, sent.index(b"\r\n\r\n") + 4, len(sent) - 1):
        async with connected(tenant.base) as (reader, writer):
            writer.write(sent[:cut])
            await tenant.manage("GET", "organization")  # the server has seen the first piece by then
            writer.write(sent[cut:])
            answer = await read_answer(reader)
            assert (answer.status, answer.lane) == (201, lane)
    await assert_unharmed(tenant, sensor)


async def test_pipelined_requests_are_answered_in_order(tenant: Tenant) -> None:
    sensor = await tenant.sensor()
    path = upload_path(sensor)
    uploads = [request(tenant, path, reading(sensor, f"2020-01-01T00:00:{i:02}Z", i)) for i in range(50)]
    bad = request(tenant, path, b"{")
    fetch = request(tenant, f"/api/external/v1/get_inputdata_by_inputs?input_ids={sensor}", b"", method="GET")
    # Bad ones in between; the fetch moves the connection from one lane to the other.
    sent = [*uploads[:20], bad, *uploads[20:30], fetch, *uploads[30:], bad]
    answers = await talk(tenant.base, b"".join(sent), len(sent))
    assert [answer.status for answer in answers] == [201] * 20 + [400] + [201] * 10 + [200] + [201] * 20 + [400]
    values = [answer.document["data"]["attributes"]["value"] for answer in answers if answer.status == 201]
    assert values == [str(i) for i in range(50)]
    assert len(answers[31].document[0]["inputdata"]) == 30
    assert [record["value"] for record in await records(tenant, sensor)] == values


async def test_thousands_of_bad_requests_in_one_write_are_all_answered(tenant: Tenant) -> None:
    bad = b"POST /api/external/v1/inputs/any/inputdata/ HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n"
    for answer in await talk(tenant.base, bad * 2000, 2000):
        assert_error(answer, 401, header="ORGANIZATION-ID")


async def test_what_follows_an_upload_far_ahead_of_its_answer_is_answered(tenant: Tenant, sensor: str) -> None:
    live = b"GET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n"
    upload = request(tenant, upload_path(sensor), reading(sensor))
    answers = await talk(tenant.base, upload + live * 20_000, 20_001)
    assert [answers[0].status, *{answer.status for answer in answers[1:]}] == [201, 200]


async def test_chunked_body(tenant: Tenant) -> None:
    sensor = await tenant.sensor()
    body = reading(sensor)
    for chunk in (1, 100, len(body)):
        chunks = [body[start : start + chunk] for start in range(0, len(body), chunk)]
        sent = b"".join(b"%x\r\n%b\r\n" % (len(one), one) for one in chunks) + b"0\r\n\r\n"
        start = head(tenant, upload_path(sensor), {"Transfer-Encoding": "chunked"})
        [answer] = await talk(tenant.base, start + sent)
        assert answer.status == 201
    await assert_unharmed(tenant, sensor)


async def test_broken_chunks(tenant: Tenant, sensor: str) -> None:
    start = head(tenant, upload_path(sensor), {"Transfer-Encoding": "chunked"})
    for sent in (b"zz\r\n{}\r\n0\r\n\r\n", b"5\r\n{}\r\n0\r\n\r\n"):
        [answer] = await talk(tenant.base, start + sent)
        assert answer.status == 400
    await assert_unharmed(tenant, sensor)


async def test_compressed_body(tenant: Tenant, sensor: str) -> None:
    whole = gzip.compress(reading(sensor, value=13))
    for sent in (whole[:-10], b"not gzip at all", b""):
        [answer] = await talk(tenant.base, request(tenant, upload_path(sensor), sent, {"Content-Encoding": "gzip"}))
        assert_error(answer, 400)
    await assert_unharmed(tenant, sensor)
    [answer] = await talk(tenant.base, request(tenant, upload_path(sensor), whole, {"Content-Encoding": "gzip"}))
    assert answer.status == 201
    assert await records(tenant, sensor) == [{"timestamp": GOOD, "value": "13"}]


async def test_expect_100_continue(tenant: Tenant) -> None:
    sensor = await tenant.sensor()
    body = reading(sensor)
    async with connected(tenant.base) as (reader, writer):
        writer.write(head(tenant, upload_path(sensor), {"Content-Length": str(len(body)), "Expect": "100-continue"}))
        assert (await read_answer(reader)).status == 100
        writer.write(body)
        assert (await read_answer(reader)).status == 201
    await assert_unharmed(tenant, sensor)


async def test_offer_to_speak_http_2_is_declined(tenant: Tenant) -> None:
    sensor = await tenant.sensor()
    offer = {"Connection": "Upgrade, HTTP2-Settings", "Upgrade": "h2c", "HTTP2-Settings": "AAMAAABkAAQAAP__"}
    async with connected(tenant.base) as (reader, writer):
        for headers in (offer, {}):
            writer.write(request(tenant, upload_path(sensor), reading(sensor), headers))
            assert (await read_answer(reader)).status == 201
    await assert_unharmed(tenant, sensor)


async def test_http_1_0_and_connection_close(tenant: Tenant) -> None:
    sensor = await tenant.sensor()
    old = request(tenant, upload_path(sensor), reading(sensor), version="1.0")
    closing = request(tenant, upload_path(sensor), reading(sensor), {"Connection": "close"})
    for sent in (old, closing):
        async with connected(tenant.base) as (reader, writer):
            writer.write(sent)
            assert (await read_answer(reader)).status == 201
            assert await reader.read() == b""
    await assert_unharmed(tenant, sensor)


UPLOAD = b"POST /api/external/v1/inputs/a/inputdata/ HTTP/1.1\r\nHost: localhost\r\n"


@pytest.mark.parametrize(
    "sent",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(200) + b"\r\n\r\n",
        b"HELO example.org\r\n\r\n",
        b"GET\r\n\r\n",
        UPLOAD.replace(b"HTTP/1.1", b"HTTP/9.9") + b"\r\n",
        UPLOAD + b"Content-Length: -5\r\n\r\n",
        UPLOAD + b"Content-Length: 1e3\r\n\r\n",
        UPLOAD + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
        UPLOAD + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        UPLOAD + b"no colon here\r\n\r\n",
        UPLOAD + b"X-Long: " + b"x" * 20_000 + b"\r\n\r\n",
        b"GET /" + b"s" * 70_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
    ],
    ids=lambda given: repr(given)[-40:],
)
async def test_what_is_not_http_is_refused(sent: bytes, tenant: Tenant, sensor: str) -> None:
    async with connected(tenant.base) as (reader, writer):
        writer.write(sent)
        answer = await read_answer(reader)
        assert 400 <= answer.status < 500
        assert answer.body
        assert await reader.read() == b""  # nothing more is read from such a connection
    await assert_unharmed(tenant, sensor)


@pytest.mark.parametrize(
    ("parameters", "name"),
    [
        ("limit=-1", "limit"),
        ("limit=0", "limit"),
        ("limit=1.5", "limit"),
        ("limit=1e3", "limit"),
        ("limit=many", "limit"),
        ("limit=", "limit"),
        (f"limit={'9' * 100}", "limit"),
        ("limit=%D9%A1", "limit"),
        ("limit=1&limit=2", "limit"),
        ("timeperiod_last=3_moons", "timeperiod_last"),
        ("timeperiod_last=0_days", "timeperiod_last"),
        ("timeperiod_last=-1_day", "timeperiod_last"),
        ("timeperiod_last=1.5_days", "timeperiod_last"),
        ("timeperiod_last=day", "timeperiod_last"),
        ("timeperiod_last=1_day&timeperiod_start=2020-01-01", "timeperiod_last"),
        ("timeperiod_last=1_day&timeperiod_finish=2020-01-01", "timeperiod_last"),
        ("timeperiod_start=yesterday", "timeperiod_start"),
        ("timeperiod_start=2020-13-01", "timeperiod_start"),
        ("timeperiod_finish=2020-01-01T25:00:00Z", "timeperiod_finish"),
        ("timeperiod_finish=%00", "timeperiod_finish"),
        ("timeperiod_start=2020-01-02&timeperiod_finish=2020-01-01", "timeperiod_finish"),
        ("order_by=colour", "order_by"),
        ("order_by=value;DROP+TABLE+reading", "order_by"),
        ("sort_by=up", "sort_by"),
        ("is_add_lat_long=1", "is_add_lat_long"),
        ("is_add_metadata=yes", "is_add_metadata"),
        ("aggregation_func=median", "aggregation_func"),
        ("aggregation_func=min,,max", "aggregation_func"),
        ("unheard_of=1", "unheard_of"),
        ("input-ids=x", "input_ids"),
    ],
)
async def test_parameter_of_a_fetch_that_cannot_be_used(
    parameters: str, name: str, tenant: Tenant, sensor: str
) -> None:
    for endpoint in ("get_inputdata_by_inputs", "get_latest_statistics_inputdata_by_inputs"):
        url = f"{tenant.base}/api/external/v1/{endpoint}?input_ids={sensor}&{parameters}"
        async with tenant.session.get(URL(url, encoded=True), headers=tenant.keys) as response:
            answer = Answer(response.status, dict(response.headers.items()), await response.read())
        assert answer.status == 400, answer.body
        [error] = answer.document["errors"]
        assert error["source"] == {"parameter": name}
        assert response.content_type == "application/vnd.api+json"


@pytest.mark.parametrize(
    ("endpoint", "parameters", "status", "name"),
    [
        ("get_inputdata_by_inputs", "", 400, "input_ids"),
        ("get_inputdata_by_inputs", "input_ids=", 400, "input_ids"),
        ("get_statistics_inputdata_by_inputs", "input_ids=,", 400, "input_ids"),
        ("get_inputdata_by_inputs", "input_ids=a&asset_id=1", 400, "asset_id"),
        ("get_inputdata_by_inputs", "input_ids=%27%20OR%201%3D1%20--", 404, "input_ids"),
        ("get_inputdata_by_inputs", "input_ids=%00", 404, "input_ids"),
        ("get_inputdata_by_inputs", "input_ids=%ED%A0%80", 404, "input_ids"),
        ("get_inputdata_by_asset", "", 400, "asset_id"),
        ("get_inputdata_by_asset", "asset_id=abc", 400, "asset_id"),
        ("get_inputdata_by_asset", "asset_id=-1", 400, "asset_id"),
        ("get_inputdata_by_asset", "asset_id=1,2", 400, "asset_id"),
        ("get_inputdata_by_asset", "asset_id=4294967297", 404, "asset_id"),
        ("get_statistics_inputdata_by_asset", "asset_id=1", 404, "asset_id"),
    ],
)
async def test_input_or_asset_of_a_fetch_that_cannot_be_used(
    endpoint: str, parameters: str, status: int, name: str, tenant: Tenant
) -> None:
    url = f"{tenant.base}/api/external/v1/{endpoint}?{parameters}"
    async with tenant.session.get(URL(url, encoded=True), headers=tenant.keys) as response:
        document = await response.json(content_type=None)
    assert response.status == status, document
    assert document["errors"][0]["source"] == {"parameter": name}


async def test_fetch_without_the_right_key(tenant: Tenant, sensor: str) -> None:
    target = f"/api/external/v1/get_inputdata_by_inputs?input_ids={sensor}"
    for headers, name in (
        ({"ORGANIZATION-ID": ""}, "ORGANIZATION-ID"),
        ({"ORGANIZATION-API-KEY": ""}, "ORGANIZATION-API-KEY"),
        ({"organization-api-key": "again"}, "ORGANIZATION-API-KEY"),
    ):
        [answer] = await talk(tenant.base, request(tenant, target, b"", headers, method="GET"))
        assert_error(answer, 401, header=name)
    [answer] = await talk(tenant.base, request(tenant, target, b"", {"ORGANIZATION-API-KEY": "wrong"}, method="GET"))
    assert_error(answer, 401)
    [answer] = await talk(tenant.base, request(tenant, f"{target}&api_key={tenant.api_key}", b"", method="GET"))
    assert_error(answer, 401, parameter="api_key")
