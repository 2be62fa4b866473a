"""The load generator for machines without wrk: `python -m bench.gateways`, a process that acts as some of the gateways.

It is a closed loop like wrk's: each connection sends its next upload when the previous one is answered. Prints one line
of JSON. Arguments: port, start in microseconds since 1970 UTC, seconds, connections, first number, step between
numbers, organization id, organization key.
"""

import asyncio
import math
import sys
import time
from collections.abc import Iterator
from itertools import count
from typing import cast

import orjson
import uvloop

from bench.requests import Credentials, upload


class Gateway(asyncio.Protocol):
    """One keep-alive connection."""

    def __init__(self, uploads: Iterator[bytes], *, deadline: float = math.inf, status: bytes = b"201") -> None:
        """Send all uploads, or until `deadline` (time.perf_counter); `status` is the expected status."""
        self._uploads = uploads
        self._deadline = deadline
        self._status = status
        self._done = False
        self._received = b""
        self._sent_at = 0.0
        self.ended = asyncio.get_running_loop().create_future()
        self.milliseconds: list[float] = []
        self.refused = 0
        self.broken = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Send the first upload."""
        self._transport = cast("asyncio.Transport", transport)
        self._send()

    def data_received(self, data: bytes) -> None:
        """Take a response and continue."""
        self._received += data
        head = self._received.find(b"\r\n\r\n")
        if head < 0:
            return
        length = self._received.lower().find(b"\r\ncontent-length:")
        size = int(self._received[length + 17 : head + 2].split(b"\r\n", 1)[0]) if 0 <= length < head else 0
        if len(self._received) < head + 4 + size:
            return
        now = time.perf_counter()
        self.milliseconds.append((now - self._sent_at) * 1000)
        self.refused += self._received[9:12] != self._status
        self._received = b""
        self._send()

    def connection_lost(self, error: Exception | None) -> None:
        """The connection has ended, on either side."""
        self.broken += not self._done
        self.ended.set_result(None)

    def send(self, upload: bytes, since: float) -> None:
        """Send an upload; its latency counts from `since` (time.perf_counter)."""
        self._sent_at = since
        self._transport.write(upload)

    def end(self) -> None:
        """Close the connection."""
        self._done = True
        self._transport.close()

    def _send(self) -> None:
        now = time.perf_counter()
        upload = next(self._uploads, None) if now < self._deadline else None
        if upload is None:
            self.end()
        else:
            self.send(upload, now)


async def play(
    port: int, start: int, seconds: float, connections: int, numbers: Iterator[int], credentials: Credentials
) -> bytes:
    """Act as this many gateways for the given number of seconds; returns JSON."""
    uploads = (upload(credentials, start, number) for number in numbers)
    began = time.perf_counter()
    loop = asyncio.get_running_loop()
    gateways = [
        (await loop.create_connection(lambda: Gateway(uploads, deadline=began + seconds), "127.0.0.1", port))[1]
        for _ in range(connections)
    ]
    await asyncio.wait([gateway.ended for gateway in gateways])
    return orjson.dumps(
        {
            "seconds": time.perf_counter() - began,
            "milliseconds": [one for gateway in gateways for one in gateway.milliseconds],
            "refused": sum(gateway.refused for gateway in gateways),
            "broken": sum(gateway.broken for gateway in gateways),
        }
    )


if __name__ == "__main__":
    port, start, seconds, connections, first, distance, *credentials = sys.argv[1:]
    numbers = count(int(first), int(distance))
    played = play(int(port), int(start), float(seconds), int(connections), numbers, Credentials(*credentials))
    # Buffered whatever PYTHONUNBUFFERED says: a single write may end halfway.
    with open(sys.stdout.fileno(), "wb", closefd=False) as output:
        output.write(uvloop.run(played))
