"""A few bytes that expand to endless work: too many rejections end a body, and no body may be blank for ever."""

import gzip
import io
import json
import math
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cramjam
import pytest
from tidemark.base.values import clock
from tidemark.bodies.compression import decompressor
from tidemark.bodies.lines import BLANK_PER_RECORD, MAX_BLANK
from tidemark.bodies.outcome import BodyError
from tidemark.bodies.pipeline import MAX_REJECTIONS
from tidemark.coldchain.operation import OperationLines
from tidemark.readings.wire.csv_rows import CsvDecoder
from tidemark.readings.wire.line_protocol import LineProtocol
from tidemark.readings.wire.ndjson import NdjsonDecoder

from tests.coldchain.requests import new_token
from tests.conftest import Service, Tenant
from tests.readings.http.test_bulk_readings import stored
from tests.readings.http.test_metrics_formats import post
from tests.readings.prometheus import WriteRequest

MANY = 10_000_000
MIB = 1024 * 1024
GOOD = '{"sensor":"%s","timestamp":"2021-01-01T00:00:%02dZ","value":%d}\n'


def bomb(line: bytes, head: bytes = b"") -> bytes:
    """The same line many times, in gzip."""
    packing = zlib.compressobj(wbits=zlib.MAX_WBITS + 16)
    thousand = line * 1000
    parts = [packing.compress(head), *(packing.compress(thousand) for _ in range(MANY // 1000)), packing.flush()]
    return b"".join(parts)


def processor_seconds(service: Service) -> float:
    """The processor time that the service's process has used, not counting its children."""
    fields = Path(f"/proc/{service.process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100


@pytest.mark.parametrize(
    ("path", "media_type", "line", "head"),
    [
        ("/api/v1/readings", "application/x-ndjson", b"{}\n", b""),
        ("/api/v1/readings", "text/csv", b"a,b,c\n", b"sensor,timestamp,value\n"),
        ("/api/v1/readings", "text/csv", b'"\n",b\n', b"sensor,timestamp,value\n"),
        ("/api/v1/operations", "application/x-ndjson", b"{}\n", b""),
    ],
)
async def test_a_stream_of_rejections_ends(
    path: str, media_type: str, line: bytes, head: bytes, tenant: Tenant, service: Service
) -> None:
    before = processor_seconds(service)
    body = bomb(line, head)
    response = await post(tenant, path, body, {"Content-Type": media_type, "Content-Encoding": "gzip"})
    answer = await response.json()
    assert response.status == 422
    assert (answer["accepted"], answer["rejected"], len(answer["errors"])) == (0, MAX_REJECTIONS, 100)
    assert "not read" in answer["ended"]
    assert processor_seconds(service) - before < 2


@pytest.mark.parametrize("path", ["/write", "/api/v2/write"])
@pytest.mark.parametrize("line", [b"nonsense\n", b'm v="text"\n'])
async def test_line_protocol_of_rejections_ends(path: str, line: bytes, tenant: Tenant, service: Service) -> None:
    before = processor_seconds(service)
    response = await post(tenant, path, bomb(line), {"Content-Encoding": "gzip"})
    answer = await response.json()
    assert response.status == 400
    dropped = int((answer.get("error") or answer["message"]).rpartition("dropped=")[2])
    assert MAX_REJECTIONS <= dropped <= 20_000 + MAX_REJECTIONS
    assert processor_seconds(service) - before < 2


async def test_remote_write_of_rejections_ends(tenant: Tenant) -> None:
    message: Any = WriteRequest()
    for _ in range(300):
        series = message.timeseries.add()
        series.samples.extend(type(series.samples.add())(value=1, timestamp=-1) for _ in range(1000))
    body = bytes(cramjam.snappy.compress_raw(message.SerializeToString()))
    response = await post(tenant, "/api/v1/write", body)
    assert response.status == 400
    assert "not read" in (await response.json())["error"]["message"]


@pytest.mark.parametrize("media_type", ["application/x-ndjson", "application/json"])
@pytest.mark.parametrize("unknown", [False, True])
async def test_records_before_the_last_rejection_are_stored(media_type: str, unknown: bool, tenant: Tenant) -> None:
    sensor = await tenant.sensor()
    bad = GOOD % ("nobody", 0, 0) if unknown else "{}\n"
    lines = [
        GOOD % (sensor, 0, 0),
        *[bad] * (MAX_REJECTIONS - 1),
        GOOD % (sensor, 1, 1),
        bad,
        GOOD % (sensor, 2, 2),
        *[bad] * 5,
    ]
    whole = "".join(lines) if media_type != "application/json" else f"[{','.join(lines)}]"
    response = await post(tenant, "/api/v1/readings", whole.encode(), {"Content-Type": media_type})
    answer = await response.json()
    assert response.status == 207
    assert (answer["accepted"], answer["rejected"]) == (2, MAX_REJECTIONS)
    assert answer["ended"]
    assert [one["index"] for one in answer["errors"]] == list(range(1, 101))
    assert [record["value"] for record in await stored(tenant, sensor)] == ["0", "1"]


async def test_one_rejection_fewer_is_read_to_the_end(tenant: Tenant) -> None:
    sensor = await tenant.sensor()
    lines = "{}\n" * (MAX_REJECTIONS - 1) + GOOD % (sensor, 0, 0)
    response = await post(tenant, "/api/v1/readings", lines.encode(), {"Content-Type": "application/x-ndjson"})
    answer = await response.json()
    assert (answer["accepted"], answer["rejected"], "ended" in answer) == (1, MAX_REJECTIONS - 1, False)


DECODERS: dict[str, tuple[Callable[[], Any], bytes, bytes]] = {
    "ndjson": (lambda: NdjsonDecoder(clock), b"", b"{}\n"),
    "csv": (lambda: CsvDecoder(clock), b"sensor,timestamp,value\n", b"a,b,c\n"),
    "operations": (lambda: OperationLines(clock), b"", b"{}\n"),
    "line protocol": (lambda: LineProtocol(1, clock), b"", b"m v=1\n"),
}


def decode(name: str, *parts: bytes) -> None:
    """Decode a body to its end."""
    make, head, _ = DECODERS[name]
    decoder = make()
    for part in (head, *parts):
        for _ in decoder.feed(part):
            pass
    for _ in decoder.finish():
        pass


@pytest.mark.parametrize("name", DECODERS)
def test_blank_lines_are_allowed_in_proportion_to_records(name: str) -> None:
    records = DECODERS[name][2] * 1000
    blank = b"\r\n" * (1000 * BLANK_PER_RECORD)
    decode(name, *[records, blank] * 3, b"\n" * (MAX_BLANK - 200))
    with pytest.raises(BodyError, match="blank"):
        decode(name, records, blank, b"\n" * (MAX_BLANK + 200))


def test_comments_count_as_blank_lines() -> None:
    with pytest.raises(BodyError, match="blank"):
        decode("line protocol", b"#\n" * (MAX_BLANK + 1))


def test_what_is_compressed_twice_expands_once() -> None:
    empty_members = gzip.compress(gzip.compress(b"") * 100_000)
    with pytest.raises(BodyError, match="twice"):
        list(decompressor("gzip, gzip").feed(empty_members))
    body = json.dumps([math.sin(number) for number in range(100_000)]).encode()
    assert b"".join(decompressor("gzip, gzip").feed(gzip.compress(gzip.compress(body)))) == body


def many(element: str, size: int) -> str:
    """A JSON list of about `size` bytes."""
    return f"[{','.join([element] * (size // (len(element) + 1)))}]"


@pytest.mark.parametrize(
    ("path", "document", "message"),
    [
        ("sensors", '{"name":' + many("[]", 2 * MIB) + "}", f"larger than {MIB} bytes"),
        ("sensors", '{"name":' + many("[]", MIB - 100) + "}", "250000 values"),
        ("series/batch", '{"queries":' + many("{}", 9 * MIB) + "}", f"larger than {8 * MIB} bytes"),
        ("series/batch", '{"queries":' + many("{}", 8 * MIB - 100) + "}", "250000 values"),
        ("series/batch", '{"queries":[' + many("[" * 900 + "]" * 900, MIB) + "]}", "250000 values"),
    ],
)
async def test_a_document_of_countless_values_is_not_decoded(
    path: str, document: str, message: str, tenant: Tenant
) -> None:
    token = {"Authorization": f"Bearer {tenant.admin_token}"} if path == "sensors" else await new_token(tenant)
    headers = {**token, "Content-Type": "application/json", "Content-Encoding": "gzip"}
    url = f"{tenant.base}/api/v1/{path}"
    async with tenant.session.post(url, data=gzip.compress(document.encode()), headers=headers) as response:
        error = (await response.json())["error"]
    assert (response.status, error["code"]) == (413, "too_large")
    assert message in error["message"]


async def test_the_largest_batch_is_read(tenant: Tenant) -> None:
    sensors = [f"{number:036d}" for number in range(1000)]
    question = {"sensors": sensors, "start": "2026-01-01T00:00:00.000000Z", "end": "2026-01-01T00:00:00.000000Z"}
    text = json.dumps({"queries": [question] * 200}).encode()
    headers = {**await new_token(tenant), "Content-Type": "application/json"}
    url = f"{tenant.base}/api/v1/series/batch"
    async with tenant.session.post(url, data=io.BytesIO(text), headers=headers) as response:
        answers = (await response.json())["data"]
    assert [answer["error"]["details"] for answer in answers] == [{"field": "sensors"}] * 200


@pytest.mark.parametrize("values", ["[]", "{}"])
@pytest.mark.parametrize("path", ["readings", "operations"])
async def test_a_record_of_countless_values_is_not_decoded(path: str, values: str, tenant: Tenant) -> None:
    field, reason = ("metadata", "1 MiB as it is sent") if path == "readings" else ("", "at most 1 MiB of JSON")
    record = {"readings": '{"sensor":"s","timestamp":"2026-01-01","value":1,"metadata":%s}', "operations": '{"id":%s}'}
    text = f"[{record[path] % many(values, 2 * MIB)}]"
    headers = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
    response = await post(tenant, f"/api/v1/{path}", gzip.compress(text.encode()), headers)
    answer = await response.json()
    assert (response.status, answer["rejected"]) == (422, 1)
    assert answer["errors"][0]["field"] == field
    assert reason in answer["errors"][0]["message"]
