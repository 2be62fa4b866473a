"""Requests that are refused before routing: in the shape of their surface, alike in both lanes, and repeating nothing
that was sent.
"""

import asyncio
import json
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tests.conftest import Service, StartService, Tenant, upload_body
from tests.http.wire import Answer, connected, read_answer, request, talk, upload_path

SECRET = "tidemark_verysecret"
LIVE = b"GET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n"

JSON_API = ({"errors"}, {"status", "title", "detail", "source"})
PLATFORM = ({"error"}, {"code", "message", "details"})
SHAPES: dict[str, tuple[set[str], set[str]]] = {
    "/api/external/v1/get_inputdata_by_inputs?input_ids=a": JSON_API,
    "/api/external/v1/inputs/a/inputdata/": JSON_API,
    "/api/v1/readings": PLATFORM,
    "/api/v2/sites": ({"error"}, set()),
    "/api/v2/write?precision=s": ({"code", "message"}, set()),
    "/write": ({"error"}, set()),
    "/nowhere": PLATFORM,
}


def shape(document: Any) -> tuple[set[str], set[str]]:
    """The keys of an error's document, and of the object inside it."""
    inner = document["errors"][0] if "errors" in document else document.get("error")
    return set(document), set(inner) if isinstance(inner, dict) else set()


def refused(path: str, headers: bytes, *, method: str = "POST", begun: bytes = b"") -> bytes:
    """A request for a path with these header lines."""
    return begun + f"{method} {path} HTTP/1.1\r\n".encode() + headers + b"Content-Length: 0\r\n\r\n"


BAD_HEADS = {
    "NUL": f"Host: a\r\nAuthorization: Bearer {SECRET}\x00\r\n".encode(),
    "no colon": f"Host: a\r\nAuthorization {SECRET}\r\n".encode(),
    "too long": f"Host: a\r\nAuthorization: Bearer {SECRET * 1000}\r\n".encode(),
    "too many": b"Host: a\r\n" + b"".join(b"X-%d: %b\r\n" % (number, SECRET.encode()) for number in range(200)),
    "no host": f"Authorization: Bearer {SECRET}\r\n".encode(),
    "two hosts": f"Host: {SECRET}\r\nHost: a\r\n".encode(),
    "old websocket": f"Host: a\r\nSec-WebSocket-Key1: {SECRET}\r\n".encode(),
}


@pytest.fixture(scope="module")
def talkative(service: Service, start_service: StartService) -> Service:
    """A service that logs everything."""
    return start_service(service.database_url, TIDEMARK_LOG_LEVEL="debug")


def assert_refused(answer: Answer, path: str, status: int) -> None:
    """Assert that the response has the shape of the path's surface, and repeats nothing of the request."""
    assert answer.status == status, answer.body
    assert answer.headers["content-type"] == (
        "application/vnd.api+json" if path.startswith("/api/external/") else "application/json"
    )
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "/" not in answer.headers.get("server", "")
    assert shape(answer.document) == SHAPES[path]
    assert SECRET.encode() not in answer.body


@pytest.mark.parametrize("path", SHAPES)
@pytest.mark.parametrize("head", BAD_HEADS)
async def test_malformed_heads(head: str, path: str, talkative: Service) -> None:
    [answer] = await talk(talkative.base, refused(path, BAD_HEADS[head]))
    assert_refused(answer, path, 400)
    # The same after another request, in pieces, on a connection that is already in aiohttp's lane.
    async with connected(talkative.base) as (reader, writer):
        writer.write(LIVE)
        assert (await read_answer(reader)).status == 200
        sent = refused(path, BAD_HEADS[head])
        writer.write(sent[:40])
        await talk(talkative.base, LIVE)
        writer.write(sent[40:])
        assert_refused(await read_answer(reader), path, 400)
        assert await reader.read() == b""
    assert SECRET not in talkative.output.read_text()


@pytest.mark.parametrize("path", SHAPES)
async def test_unknown_expectations(path: str, talkative: Service) -> None:
    [answer] = await talk(talkative.base, refused(path, f"Host: a\r\nExpect: {SECRET}\r\n".encode()))
    assert_refused(answer, path, 417)
    assert SECRET not in talkative.output.read_text()


@pytest.mark.parametrize("line", [f"{SECRET} /nowhere HTTP/1.1", f"GET /nowhere?{SECRET} HTTP/3.7", "\x16\x03\x01\x02"])
async def test_malformed_request_lines(line: str, talkative: Service) -> None:
    [answer] = await talk(talkative.base, f"{line}\r\nHost: a\r\n\r\n".encode())
    assert_refused(answer, "/nowhere", 400)
    assert SECRET not in talkative.output.read_text()


async def test_every_answer_of_both_lanes_keeps_browsers_from_guessing(tenant: Tenant) -> None:
    sensor = await tenant.sensor()
    body = json.dumps(upload_body(sensor, "2021-01-01T00:00:00Z", 1)).encode()
    asked = [
        request(tenant, upload_path(sensor), body),
        request(tenant, upload_path(sensor), b"{"),
        request(tenant, upload_path("nobody"), body),
        LIVE,
        LIVE.replace(b"/health/live", b"/collect.js"),
        LIVE.replace(b"/health/live", b"/nowhere"),
        LIVE.replace(b"GET /health/live", b"OPTIONS /write"),
        request(tenant, f"/api/external/v1/get_inputdata_by_inputs?input_ids={sensor}", b"", method="GET"),
        request(
            tenant, f"/api/external/v1/get_inputdata_by_inputs?input_ids={sensor}&limit=1000000", b"", method="HEAD"
        ),
    ]
    for one in asked:
        async with connected(tenant.base) as (reader, writer):
            writer.write(one)
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            assert b"\r\nx-content-type-options: nosniff\r\n" in head
            assert b"\r\nserver: tidemark\r\n" in head or b"\r\nserver:" not in head


FIELDS = [
    b"Host: again",
    b"Content-Type: application/json",
    b"Content-Length: 5",
    b"Content-Length: 1e3",
    b"Transfer-Encoding: identity",
    b"Transfer-Encoding: chunked",
    b"Content-Encoding: identity",
    b"Expect:",
    b"Expect: a miracle",
    b"Connection: close",
    b"Connection: keep-alive ",
    b"Proxy-Connection: close",
    b"Upgrade: websocket",
    b"Sec-WebSocket-Key1: a",
    b"User-Agent: a",
    b"User-Agent: b",
    b"ETag: a",
    b"Server: a",
    b"Cookie: a=b",
    b"Cookie: c=d",
    b"ORGANIZATION-ID: again",
    b"X: a\tb \t",
    b"X: \x00",
    b"X: \x7f",
    b"X: \xff",
    b"X: a\r\n b",
    b"X : a",
    b" X: a",
    b"X",
    b": a",
    b"X(: a",
    b"X: " + b"a" * 8000,
    *(b"X-%d: a" % number for number in range(130)),
]


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@example(added=FIELDS[-130:], lost=set(), at=0, byte=b"")
@example(added=[], lost={"Host"}, at=0, byte=b"")
@example(added=[b"Host: again"], lost=set(), at=0, byte=b"")
@example(added=[b"Authorization: Bearer a\x00"], lost=set(), at=0, byte=b"")
@example(added=[], lost=set(), at=33, byte=b"{")
@given(
    added=st.lists(st.sampled_from(FIELDS), max_size=4),
    lost=st.sets(st.sampled_from(["Host", "Content-Type", "ORGANIZATION-ID"]), max_size=1),
    at=st.integers(0, 100),
    byte=st.binary(max_size=1),
)
async def test_both_lanes_refuse_the_same(
    added: list[bytes], lost: set[str], at: int, byte: bytes, tenant: Tenant
) -> None:
    body = json.dumps(upload_body("any", "2021-01-01T00:00:00Z", 1)).encode()
    head, end, body = request(tenant, upload_path("any"), body, dict.fromkeys(lost, "")).partition(b"\r\n\r\n")
    if byte and byte not in b"\r\n":  # such a head might never end
        head = head[:at] + byte + head[at + 1 :]
    sent = b"\r\n".join([head, *added]) + end + body
    answers = []
    for before in (b"", LIVE):
        async with connected(tenant.base) as (reader, writer), asyncio.timeout(20):
            if before:
                writer.write(before)
                await read_answer(reader)
            writer.write(sent)
            answer = await read_answer(reader)
            answers.append((answer.status, answer.headers["content-type"], answer.body))
    assert answers[0] == answers[1]
    assert answers[0][0] < 500
