"""Streamed responses never look complete when they are not, and hold nothing for clients that do not read."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiohttp import web
from tidemark.http import patience, streaming
from tidemark.http.streaming import Pace

from tests.conftest import free_port


@asynccontextmanager
async def serving(pieces: AsyncGenerator[bytes, None]) -> AsyncIterator[int]:
    """A server in this process that responds with these pieces; yields its port."""

    async def handle(request: web.Request) -> web.StreamResponse:
        return await streaming.stream(request, {"Content-Type": "text/csv"}, pieces)

    app = web.Application()
    app.router.add_get("/", handle)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    port = free_port()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    yield port
    await runner.cleanup()


@pytest.mark.parametrize("version", ["1.0", "1.1"])
@pytest.mark.parametrize("error", [ValueError, OSError, TimeoutError])
async def test_an_error_in_the_middle_never_looks_like_the_end(version: str, error: type[Exception]) -> None:
    async def broken() -> AsyncGenerator[bytes, None]:
        yield b"a,b\r\n"
        yield b"1,2\r\n"
        raise error

    async with serving(broken()) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(f"GET / HTTP/{version}\r\nHost: x\r\n\r\n".encode())
        # A reset, because in HTTP/1.0 an ordinary end of the connection is the end of the response.
        with pytest.raises(ConnectionResetError):
            await reader.read()
        writer.close()


async def test_what_fails_at_once_is_raised() -> None:
    async def broken() -> AsyncGenerator[bytes, None]:
        yield {b"": b""}[b"nothing"]

    async with serving(broken()) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert b" 500 " in await reader.readline()
        writer.close()


async def test_a_client_that_does_not_read_holds_nothing_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "STALLED_SECONDS", 0.2)
    released = asyncio.Event()

    async def endless() -> AsyncGenerator[bytes, None]:
        try:
            while True:
                yield bytes(1_000_000)
        finally:
            released.set()

    async with serving(endless()) as port:
        _, writer = await asyncio.open_connection("127.0.0.1", port, limit=1)
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        async with asyncio.timeout(20):
            await released.wait()
        writer.close()


async def test_a_client_that_reads_too_slowly_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "STREAM_PACE", 10**12)
    monkeypatch.setattr(patience, "PACE_SECONDS", 0.05)

    async def endless() -> AsyncGenerator[bytes, None]:
        while True:
            yield bytes(100_000)

    async with serving(endless()) as port, asyncio.timeout(20):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        with pytest.raises(ConnectionResetError):
            await reader.read()
        writer.close()


def test_a_pace_is_that_of_each_minute_of_waiting() -> None:
    minute = patience.PACE_SECONDS * patience.STREAM_PACE
    pace = Pace()
    assert not pace.is_too_slow(0, patience.PACE_SECONDS - 1), "the minute is not over"
    assert not pace.is_too_slow(int(minute), 1)
    assert not pace.is_too_slow(int(100 * minute), 0), "in no time at all"
    assert not pace.is_too_slow(0, patience.PACE_SECONDS)
    assert not pace.is_too_slow(int(minute) - 1, patience.PACE_SECONDS - 1)
    assert pace.is_too_slow(0, 1), "what came in the minutes before does not count"


async def test_a_client_that_disconnects_releases_what_its_response_holds() -> None:
    released = asyncio.Event()

    async def endless() -> AsyncGenerator[bytes, None]:
        try:
            while True:
                yield bytes(100_000)
        finally:
            released.set()

    async with serving(endless()) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        await reader.readline()
        writer.close()
        async with asyncio.timeout(20):
            await released.wait()
