"""Connections end when they are late, and there is a bound on how many there are."""

import asyncio
import contextlib
import gzip
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from unittest.mock import Mock

import pytest
from aiohttp import ClientSession, StreamReader
from aiohttp.test_utils import make_mocked_request
from tidemark.base.settings import MaxConnections, Settings
from tidemark.bodies.compression import Decompressor, decompressor
from tidemark.http import body, patience
from tidemark.server import connections, process

from tests.conftest import Service, StartService, Tenant
from tests.http.wire import Answer, connected, head, read_answer, request

SECONDS = 1.0
LIVE = b"GET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n"
UPLOAD = b"POST /api/external/v1/inputs/any/inputdata/ HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n"
COLLECT = b"POST /api/v2/collect HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n"


@pytest.fixture
def impatience(monkeypatch: pytest.MonkeyPatch) -> None:
    """A second in place of a minute."""
    for name in ("HEAD_SECONDS", "BODY_SECONDS", "STREAM_IDLE_SECONDS", "STALLED_SECONDS", "IDLE_SECONDS"):
        monkeypatch.setattr(patience, name, SECONDS)
    monkeypatch.setattr(connections, "CHECK_SECONDS", 0.1)


@pytest.fixture
async def impatient(impatience: None, service: Service, tenant: Tenant) -> AsyncIterator[Tenant]:
    """A tenant whose service runs in the test's own process, and has little patience."""
    assert service.database_url is not None
    listening = socket.socket()
    listening.bind(("127.0.0.1", 0))
    listening.setblocking(False)
    stop = asyncio.Event()
    running = asyncio.create_task(process.serve(Settings(), service.database_url, listening, stop))
    tenant.base = f"http://127.0.0.1:{listening.getsockname()[1]}"
    async with ClientSession() as session:
        while True:
            with contextlib.suppress(OSError):
                async with session.get(f"{tenant.base}/health/ready") as response:
                    if response.status == 200:
                        break
            await asyncio.sleep(0.02)
    yield tenant
    stop.set()
    await running


async def ends(base: str, sent: bytes, drip: bytes) -> tuple[float, bytes]:
    """Send bytes, then one more each tenth of a second; after how many seconds the connection ends, and what came."""
    async with connected(base) as (reader, writer):
        began = time.monotonic()
        writer.write(sent)

        async def dripping() -> None:
            while drip:
                await asyncio.sleep(0.1)
                writer.write(drip)

        dropping = asyncio.create_task(dripping())
        received = b""
        async with asyncio.timeout(20):
            with contextlib.suppress(ConnectionError):
                while some := await reader.read(65536):
                    received += some
        dropping.cancel()
        return time.monotonic() - began, received


@pytest.mark.parametrize(
    ("sent", "drip"),
    [
        (b"", b""),
        (LIVE, b""),
        (b"GET /health/live HTTP/1.1\r\nX: ", b"x"),
        (b"POST /api/external/v1/inputs/any/inputdata/ HTTP/1.1\r\nX: ", b"x"),
        (LIVE + b"GET /health/live HTTP/1.1\r\nX: ", b"x"),
    ],
    ids=["silent", "idle", "a head", "the head of an upload", "a later head"],
)
async def test_a_connection_without_a_request_ends(sent: bytes, drip: bytes, impatient: Tenant) -> None:
    seconds, received = await ends(impatient.base, sent, drip)
    assert 0.9 * SECONDS < seconds < 10 * SECONDS
    assert received.count(b"HTTP/1.1") == sent.count(LIVE)


@pytest.mark.parametrize("sent", [UPLOAD + b"\r\n", UPLOAD + b"Connection: close\r\n\r\n", COLLECT])
async def test_a_body_that_is_held_has_its_time_in_all(sent: bytes, impatient: Tenant) -> None:
    sent = sent.replace(
        b"Host",
        b"ORGANIZATION-ID: %b\r\nORGANIZATION-API-KEY: %b\r\nHost"
        % (impatient.organization_id.encode(), impatient.api_key.encode()),
    )
    endings = await asyncio.gather(*(ends(impatient.base, sent, b" ") for _ in range(30)))
    for seconds, received in endings:
        assert 0.9 * SECONDS < seconds < 10 * SECONDS
        assert received.startswith(b"HTTP/1.1 408 ")
        assert json.loads(received.partition(b"\r\n\r\n")[2])


def line(sensor: str, number: int) -> bytes:
    """A reading as NDJSON in a chunk of its own."""
    record = {"sensor": sensor, "timestamp": f"2021-01-01T00:00:{number:02d}Z", "value": number}
    data = json.dumps(record).encode() + b"\n"
    return b"%x\r\n%b\r\n" % (len(data), data)


STREAM = {"Content-Type": "application/x-ndjson", "Transfer-Encoding": "chunked"}


async def test_a_stream_may_be_slow_and_not_silent(impatient: Tenant) -> None:
    sensor = await impatient.sensor()
    async with connected(impatient.base) as (reader, writer):
        writer.write(head(impatient, "/api/v1/readings", STREAM))
        for number in range(12):
            writer.write(line(sensor, number))
            await asyncio.sleep(SECONDS / 4)
        writer.write(b"0\r\n\r\n")
        assert (await read_answer(reader)).document == {"accepted": 12, "rejected": 0, "errors": []}
        # The same connection goes on, and stops in the midst.
        writer.write(head(impatient, "/api/v1/readings", STREAM) + line(sensor, 12))
        answer = await read_answer(reader)
        assert answer.status == 408
        assert answer.document["accepted"] == 1
        assert answer.document["ended"]
        assert await reader.read() == b""


@pytest.mark.parametrize(
    "asked", [UPLOAD.replace(b"1000", b"0") + b"\r\n", LIVE.replace(b"/health/live", b"/collect.js")]
)
async def test_a_client_that_reads_no_answers_ends(asked: bytes, impatient: Tenant) -> None:
    host, _, port = impatient.base.removeprefix("http://").partition(":")
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.connect((host, int(port)))
        client.setblocking(False)

        async def ask_on() -> None:
            while True:
                with contextlib.suppress(BlockingIOError):
                    client.send(asked * 100)
                await asyncio.sleep(0.01)

        async with asyncio.timeout(60):
            with pytest.raises(ConnectionError):
                await ask_on()


async def test_broken_chunks_are_told_of_at_once(impatient: Tenant) -> None:
    async with connected(impatient.base) as (reader, writer):
        writer.write(head(impatient, "/api/v1/readings", STREAM | {"Content-Type": "application/json"}))
        await asyncio.sleep(0.1)
        began = time.monotonic()
        writer.write(b"zz\r\n")
        answer = await read_answer(reader)
        assert (answer.status, answer.document["error"]["code"]) == (400, "invalid_request")
        assert time.monotonic() - began < 0.9 * SECONDS
        assert await reader.read() == b""


async def test_work_ends_with_its_client(impatient: Tenant, monkeypatch: pytest.MonkeyPatch) -> None:
    sensor = await impatient.sensor()
    whole = json.dumps({"sensor": sensor, "timestamp": "2021-01-01T00:00:00Z", "value": 1}).encode() + b"\n"
    bomb = gzip.compress(whole * (200_000_000 // len(whole)), 1)
    unpacked = 0

    def counting(encoding: str) -> Decompressor:
        inner = decompressor(encoding)

        class Counting:
            def feed(self, data: bytes) -> Iterator[bytes]:
                nonlocal unpacked
                for piece in inner.feed(data):
                    unpacked += len(piece)
                    yield piece

            def finish(self) -> None:
                inner.finish()

        return Counting()

    monkeypatch.setattr(body, "decompressor", counting)
    headers = {"Content-Type": "application/x-ndjson", "Content-Encoding": "gzip"}
    async with connected(impatient.base) as (_, writer):
        writer.write(request(impatient, "/api/v1/readings", bomb, headers))
        while not unpacked:
            await asyncio.sleep(0.01)
        writer.transport.abort()
    after = unpacked
    before = -1
    while before != unpacked:
        before = unpacked
        await asyncio.sleep(0.5)
    assert unpacked - after < 5_000_000


async def test_a_client_that_left_before_its_body_was_read_is_no_fault_of_the_service() -> None:
    gone = Mock(connected=False)
    payload = StreamReader(gone, 2**16, loop=asyncio.get_running_loop())
    asked = make_mocked_request("POST", "/write", protocol=gone, transport=None, payload=payload)
    with pytest.raises(ConnectionError):
        await anext(body.pieces(asked))


# How many there are.


async def open_connection(base: str, address: str = "127.0.0.1") -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A connection from an address of the loopback network."""
    host, _, port = base.removeprefix("http://").partition(":")
    return await asyncio.open_connection(host, int(port), local_addr=(address, 0))


async def refused(base: str, address: str = "127.0.0.1") -> Answer | None:
    """The answer that a connection gets without asking; None where it is taken."""
    reader, writer = await open_connection(base, address)
    try:
        writer.write(LIVE)
        answer = await read_answer(reader)
        if answer.status == 200:
            return None
        assert await reader.read() == b""
        return answer
    finally:
        writer.close()


async def test_connections_are_bounded_in_all_and_from_one_address(
    service: Service, start_service: StartService
) -> None:
    base = start_service(
        service.database_url, TIDEMARK_MAX_CONNECTIONS="6,3", TIDEMARK_TRUSTED_PROXIES="127.0.0.2, ::1"
    ).base
    mine = [await open_connection(base) for _ in range(3)]
    for _, writer in mine[:2]:
        writer.write(LIVE)  # which moves them to the other lane
    for reader, _ in mine[:2]:
        assert (await read_answer(reader)).status == 200
    answer = await refused(base)
    assert answer is not None
    assert (answer.status, answer.headers["content-type"]) == (503, "application/json")
    assert int(answer.headers["retry-after"]) >= 1
    assert answer.document["error"]["code"] == "unavailable"
    assert await refused(base, "127.0.0.3") is None
    proxied = [await open_connection(base, "127.0.0.2") for _ in range(3)]
    assert await refused(base, "127.0.0.3") is not None
    for writer in (mine[0][1], mine[2][1]):  # one of each lane makes room
        writer.close()
        await writer.wait_closed()
        async with asyncio.timeout(5):
            while await refused(base) is not None:
                await asyncio.sleep(0.01)
    for _, writer in (mine[1], *proxied):
        writer.close()


async def test_a_flood_of_connections_leaves_the_service_answering(
    service: Service, start_service: StartService
) -> None:
    running = start_service(service.database_url, TIDEMARK_MAX_CONNECTIONS="50")
    opened = await asyncio.gather(*(open_connection(running.base) for _ in range(500)))
    descriptors = await asyncio.to_thread(os.listdir, f"/proc/{running.process.pid}/fd")
    assert len(descriptors) < 50 + connections.RESERVED
    for _, writer in opened:
        writer.close()
    async with asyncio.timeout(10):
        while await refused(running.base) is not None:
            await asyncio.sleep(0.01)


@pytest.mark.parametrize(
    ("hard", "workers", "expected"), [(300, 1, "(100, 100)"), (2000, 1, "(1000, 300)"), (300, 4, "(100, 75)")]
)
def test_file_descriptors_bound_connections(hard: int, workers: int, expected: str) -> None:
    done = _with_descriptors(hard, f"print(tuple(possible(MaxConnections(1000, 300), {workers})), descriptors()[0])")
    assert done == f"{expected} {hard}\n"


def test_fewer_connections_than_were_asked_for_are_a_warning() -> None:
    asked = MaxConnections(1000, 300)
    for most, hard, level in ((asked, 300, "warning"), (MaxConnections(), 300, "info"), (asked, 2000, None)):
        lines = _with_descriptors(hard, f"report_shortage({most}, 1)").splitlines()
        assert [json.loads(line)["level"] for line in lines] == ([] if level is None else [level])
        assert all("raise the limit of file descriptors" in line for line in lines)


def _with_descriptors(hard: int, statement: str) -> str:
    """What a Python prints, on its log too, that may have so many file descriptors."""
    script = (
        "import resource; from functools import partial;"
        "descriptors = partial(resource.getrlimit, resource.RLIMIT_NOFILE);"
        f"resource.setrlimit(resource.RLIMIT_NOFILE, (200, {hard}));"
        "from tidemark.base.logs import configure_logs; from tidemark.base.settings import MaxConnections;"
        "from tidemark.server.connections import possible, report_shortage;"
        f"configure_logs('info'); {statement}"
    )
    command = [sys.executable, "-c", script]
    return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=True).stdout
