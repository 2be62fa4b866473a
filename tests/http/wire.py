"""Requests byte by byte, for what HTTP libraries refuse to send."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlsplit

from tests.conftest import Tenant

# Headers that send an upload through each of the two lanes of a server process.
LANES: dict[str, dict[str, str]] = {"express": {}, "aiohttp": {"Connection": "close"}}


@dataclass(frozen=True)
class Answer:
    """A response; the names of its headers are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def document(self) -> Any:
        """The JSON of the body."""
        return json.loads(self.body)

    @property
    def lane(self) -> str:
        """The lane that responded: aiohttp names itself."""
        return "aiohttp" if "server" in self.headers else "express"


@asynccontextmanager
async def connected(base: str) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """A TCP connection to the service."""
    where = urlsplit(base)
    reader, writer = await asyncio.open_connection(where.hostname, where.port)
    try:
        yield reader, writer
    finally:
        writer.close()
        await writer.wait_closed()


async def read_answer(reader: asyncio.StreamReader) -> Answer:
    """The next response on a connection, which must state its length."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    status, *lines = head.split("\r\n")[:-2]
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    return Answer(int(status.split(" ")[1]), headers, body)


async def talk(base: str, sent: bytes, answers: int = 1) -> list[Answer]:
    """Send bytes in one write on a new connection. Returns that many responses."""
    async with connected(base) as (reader, writer):
        writer.write(sent)
        return [await read_answer(reader) for _ in range(answers)]


def upload_path(sensor: str) -> str:
    """The path that readings of a sensor are sent to."""
    return f"/api/external/v1/inputs/{quote(sensor, safe='')}/inputdata/"


def head(
    tenant: Tenant, target: str, headers: Mapping[str, str], *, method: str = "POST", version: str = "1.1"
) -> bytes:
    """The head of a request with the tenant's keys; a header whose value is empty is left out."""
    everything = {
        "Host": "localhost",
        **tenant.keys,
        "Content-Type": "application/vnd.api+json",
        **headers,
    }
    lines = [
        f"{method} {target} HTTP/{version}",
        *(f"{name}: {value}" for name, value in everything.items() if value),
    ]
    return "\r\n".join([*lines, "", ""]).encode()


def request(tenant: Tenant, target: str, body: bytes, headers: Mapping[str, str] | None = None, **other: str) -> bytes:
    """A complete request with the tenant's keys."""
    return head(tenant, target, {"Content-Length": str(len(body)), **(headers or {})}, **other) + body
