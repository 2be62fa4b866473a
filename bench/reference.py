"""HTTP servers to compare with: `python -m bench.reference bare|trivial` runs one and prints its port.

`bare` is the obvious minimum: an aiohttp handler on uvloop that reads the body, parses it with orjson and returns 201.
It checks no key and stores nothing. `trivial` does not even look at the body; it shows how much load the generator can
produce.
"""

import asyncio
import contextlib
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import cast

import httptools
import orjson
import uvloop
from aiohttp import web

CREATED = b"HTTP/1.1 201 Created\r\nContent-Type: application/vnd.api+json\r\nContent-Length: 2\r\n\r\n{}"


@dataclass(frozen=True)
class Reference:
    """A running reference."""

    port: int
    pid: int


@contextlib.contextmanager
def running_reference(name: str) -> Iterator[Reference]:
    """Start a reference, then stop it."""
    with subprocess.Popen([sys.executable, "-m", "bench.reference", name], stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None  # it is a pipe
            yield Reference(int(process.stdout.readline()), process.pid)
        finally:
            process.terminate()


async def bare(port: int = 0) -> None:
    """The bare aiohttp handler."""

    async def create(request: web.Request) -> web.Response:
        orjson.loads(await request.read())
        return web.Response(status=201, body=b"{}", content_type="application/vnd.api+json")

    application = web.Application()
    application.router.add_post("/api/external/v1/inputs/{input_pk}/inputdata/", create)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    print(runner.addresses[0][1], flush=True)
    await asyncio.Event().wait()


class Trivial(asyncio.Protocol):
    """Returns 201 for every request."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Prepare to parse requests."""
        self._transport = cast("asyncio.Transport", transport)
        self._parser = httptools.HttpRequestParser(self)

    def data_received(self, data: bytes) -> None:
        """Find the end of each request."""
        self._parser.feed_data(data)

    def on_message_complete(self) -> None:
        """Send the response."""
        self._transport.write(CREATED)


async def trivial(port: int = 0) -> None:
    """The trivial responder."""
    server = await asyncio.get_running_loop().create_server(Trivial, "127.0.0.1", port)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run({"bare": bare, "trivial": trivial}[sys.argv[1]]())
