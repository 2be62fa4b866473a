"""The load where wrk is not installed: `python -m bench.gateways`, a process that plays some of the gateways.

A closed loop, as wrk's: each connection sends its next upload when the last one is answered. Prints one line
of JSON. Arguments: port, start in microseconds since 1970 UTC, seconds, connections, first number, distance of
the numbers, organization id, organization key.
"""

import asyncio
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

    def __init__(self, uploads: Iterator[bytes], deadline: float) -> None:
        self._uploads = uploads
        self._deadline = deadline
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
        """Take an answer, and go on until the time is up."""
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
        self.refused += not self._received.startswith(b"HTTP/1.1 201")
        self._received = b""
        if now < self._deadline:
            self._send()
        else:
            self._transport.close()

    def connection_lost(self, error: Exception | None) -> None:
        """The end, whoever made it."""
        self.broken += time.perf_counter() < self._deadline
        self.ended.set_result(None)

    def _send(self) -> None:
        self._sent_at = time.perf_counter()
        self._transport.write(next(self._uploads))


async def play(
    port: int, start: int, seconds: float, connections: int, numbers: Iterator[int], credentials: Credentials
) -> bytes:
    """Play so many gateways for so many seconds; answers JSON."""
    uploads = (upload(credentials, start, number) for number in numbers)
    began = time.perf_counter()
    loop = asyncio.get_running_loop()
    gateways = [
        (await loop.create_connection(lambda: Gateway(uploads, began + seconds), "127.0.0.1", port))[1]
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
