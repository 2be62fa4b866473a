"""Send prepared requests over keep-alive connections: `python -m bench.senders`, a process of its own.

It reads the requests from standard input as a pickled list of bytes, prints "ready", and starts when it gets a line.
With a rate of 0, it is a closed loop: each connection takes the next request when its previous one is answered.
Otherwise, requests are due at even intervals, at the given rate per second. The next free connection takes each, and
its latency counts from when it was due, so that slow responses cannot slow down the requests. Prints one line of JSON.
Arguments: port, connections, the status that every response must have, the rate.
"""

import asyncio
import pickle
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import orjson
import uvloop

from bench.gateways import Gateway

PERCENTILES = {"p50": 50, "p95": 95, "p99": 99, "worst": 100}
TICK = 0.001
"""Seconds of the shortest sleep; requests that become due in the meantime are sent together."""


@dataclass(frozen=True)
class Sent:
    """The result of sending."""

    requests: int
    seconds: float
    """Seconds from the first byte to the last response."""
    sender_seconds: float
    """Processor time of the sender, in seconds."""
    refused: int
    """Responses with an unexpected status."""
    broken: int
    """Connections that ended early."""
    p50: float
    """Milliseconds to the complete response, as are the other percentiles."""
    p95: float
    p99: float
    worst: float


class Sender:
    """A process that holds prepared requests and sends them when told to."""

    def __init__(self, port: int, requests: list[bytes], *, connections: int, status: int, rate: float = 0) -> None:
        """Prepare to send `rate` requests per second, or as many as possible if it is 0."""
        self._process = subprocess.Popen(
            [sys.executable, "-m", "bench.senders", str(port), str(connections), str(status), str(rate)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert self._process.stdin is not None  # pipes both
        assert self._process.stdout is not None
        pickle.dump(requests, self._process.stdin)
        self._process.stdin.flush()
        self._process.stdout.readline()

    def send(self) -> Sent:
        """Send all requests and wait for the last response."""
        measured = orjson.loads(self._process.communicate(b"go\n")[0])
        milliseconds = measured.pop("milliseconds")
        latencies = np.percentile(milliseconds or [0.0], list(PERCENTILES.values())).tolist()
        return Sent(len(milliseconds), **measured, **dict(zip(PERCENTILES, latencies, strict=True)))


class _Pace:
    """Hands requests to free connections when they are due."""

    def __init__(self, requests: list[bytes], rate: float) -> None:
        self._requests = requests
        self._rate = rate
        self.free: asyncio.Queue[PacedGateway] = asyncio.Queue()

    async def keep(self, connections: int) -> None:
        """Hand out all requests and wait until all connections are free again."""
        began = woken = time.perf_counter()
        for number, request in enumerate(self._requests):
            due = began + number / self._rate
            gateway = await self.free.get()
            while due > (now := time.perf_counter()):
                await asyncio.sleep(max(TICK, due - now))
                woken = time.perf_counter()
            gateway.send(request, max(due, woken))  # oversleeping is not the server's fault
        for _ in range(connections):
            await self.free.get()


class PacedGateway(Gateway):
    """A connection that sends the requests that are due."""

    def __init__(self, pace: _Pace, status: bytes) -> None:
        super().__init__(iter(()), status=status)
        self._pace = pace

    def _send(self) -> None:
        self._pace.free.put_nowait(self)


async def _send(port: int, requests: list[bytes], connections: int, status: bytes, rate: float) -> bytes:
    loop = asyncio.get_running_loop()
    began, clock = time.perf_counter(), time.process_time()
    gateways: Sequence[Gateway]
    if rate:
        pace = _Pace(requests, rate)
        gateways = [
            (await loop.create_connection(lambda: PacedGateway(pace, status), "127.0.0.1", port))[1]
            for _ in range(connections)
        ]
        keeping = asyncio.create_task(pace.keep(connections))
        # A broken connection ends the whole run.
        await asyncio.wait([keeping, *(one.ended for one in gateways)], return_when=asyncio.FIRST_COMPLETED)
        keeping.cancel()
        for gateway in gateways:
            gateway.end()
    else:
        following = iter(requests)
        gateways = [
            (await loop.create_connection(lambda: Gateway(following, status=status), "127.0.0.1", port))[1]
            for _ in range(connections)
        ]
    await asyncio.wait([gateway.ended for gateway in gateways])
    return orjson.dumps(
        {
            "seconds": time.perf_counter() - began,
            "sender_seconds": time.process_time() - clock,
            "milliseconds": [one for gateway in gateways for one in gateway.milliseconds],
            "refused": sum(gateway.refused for gateway in gateways),
            "broken": sum(gateway.broken for gateway in gateways),
        }
    )


if __name__ == "__main__":
    port, connections, status, rate = sys.argv[1:]
    requests = pickle.load(sys.stdin.buffer)
    print("ready", flush=True)
    sys.stdin.buffer.readline()
    measured = uvloop.run(_send(int(port), requests, int(connections), status.encode(), float(rate)))
    # Buffered whatever PYTHONUNBUFFERED says: a single write may end halfway.
    with open(sys.stdout.fileno(), "wb", closefd=False) as output:
        output.write(measured)
