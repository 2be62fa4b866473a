"""A proxy between a client and the server that holds back what the client sends, and cuts the client off."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import parse_qs, urlsplit

COPY_DONE = b"c\0\0\0\4"
"""The last message of a COPY."""
_READY = b"Z\0\0\0\5I"
"""The server's last message of an answer."""


class Link:
    """One connection."""

    def __init__(self, client: asyncio.StreamWriter, server: asyncio.StreamWriter) -> None:
        self.client = client
        self.server = server
        self.holding = False
        self.held = bytearray()
        self.answer = b""
        self.ended = False
        """Whether the server has closed it."""

    async def carry_up(self, reader: asyncio.StreamReader) -> None:
        """Carry what the client sends until it closes, of which the server hears nothing while something is held."""
        while data := await _read(reader):
            self.held += data
            if not self.holding:
                self.release()
        if not self.holding:
            self.end()

    async def carry_down(self, reader: asyncio.StreamReader) -> None:
        """Carry what the server answers until it closes."""
        while data := await _read(reader):
            self.answer = self.answer[-len(_READY) :] + data
            self.client.write(data)
        self.ended = True
        self.client.close()

    def release(self, size: int | None = None) -> None:
        """Let the server have what was held, or its first so many bytes."""
        if self.held:
            self.answer = b""
            self.server.write(bytes(self.held[:size]))
            del self.held[:size]

    def end(self) -> None:
        """Let the server know that nothing more comes."""
        if self.server.can_write_eof() and not self.server.is_closing():
            self.server.write_eof()

    async def answered(self) -> None:
        """Wait until the server has done what it was last asked, or has ended."""
        async with asyncio.timeout(10):
            while not self.ended and not self.answer.endswith(_READY):
                await asyncio.sleep(0.001)


class Proxy:
    """Listens on a port of the loopback interface in place of the server that a URL names by its Unix socket."""

    def __init__(self, database_url: str) -> None:
        parts = urlsplit(database_url)
        query = parse_qs(parts.query)
        self._socket = f"{query['host'][0]}/.s.PGSQL.{query['port'][0]}"
        self._writers: list[asyncio.StreamWriter] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self.links: list[Link] = []
        self.refusing = False
        """Whether new connections are closed at once."""
        self.url = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """A client has connected."""
        self._writers.append(writer)
        if self.refusing:
            writer.close()
            return
        from_server, to_server = await asyncio.open_unix_connection(self._socket)
        self._writers.append(to_server)
        link = Link(writer, to_server)
        self.links.append(link)
        for work in (link.carry_up(reader), link.carry_down(from_server)):
            task = asyncio.create_task(work)
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    def hold(self) -> None:
        """From now on the server gets nothing more over the connections that there are."""
        for link in self.links:
            link.holding = True

    def release(self) -> None:
        """Let the server have everything that was held."""
        for link in self.links:
            link.holding = False
            link.release()

    async def finish(self) -> None:
        """Let the server have everything, and wait until it has dealt with it."""
        self.release()
        async with asyncio.timeout(20):
            for link in self.links:
                link.end()
                while not link.ended:
                    await asyncio.sleep(0.001)

    async def once_sent(self) -> Link:
        """Wait until a whole append is held."""
        while not (sent := [link for link in self.links if link.held.endswith(COPY_DONE)]):
            await asyncio.sleep(0.001)
        return sent[0]

    async def cut_once_sent(self) -> Link:
        """The same, and cut its client off; the connection to the server stays."""
        link = await self.once_sent()
        link.client.transport.abort()
        return link

    async def close(self) -> None:
        """Close every connection."""
        for writer in self._writers:
            writer.transport.abort()
        await asyncio.gather(*self._tasks)
        for writer in self._writers:
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()


@asynccontextmanager
async def proxied(database_url: str) -> AsyncIterator[Proxy]:
    """A proxy in front of a database; its `url` leads through it."""
    proxy = Proxy(database_url)
    server = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
    parts = urlsplit(database_url)
    proxy.url = f"postgresql://{parts.username}@127.0.0.1:{server.sockets[0].getsockname()[1]}{parts.path}"
    yield proxy
    server.close()
    await proxy.close()
    await server.wait_closed()


async def _read(reader: asyncio.StreamReader) -> bytes:
    try:
        return await reader.read(65536)
    except ConnectionError:
        return b""
