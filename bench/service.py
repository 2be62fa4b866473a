"""Tidemark under test: a real `tidemark serve` with an embedded server in its own folder."""

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import asyncpg
from tidemark.catalog import resources, welcome
from tidemark.database.statements import Sources, Statements
from tidemark.embedded.programs import Programs
from tidemark.embedded.server import Server, embedded_server

from bench.processor import postmaster, process_seconds
from bench.requests import SENSORS, Credentials, sensor_id

START_SECONDS = 60
STOP_SECONDS = 20
SETTLE_SECONDS = 300
QUIET_SECONDS = 3
MAX_SERIES = 1_000_000
IDLE = 0.1
"""Number of processors that an idle database may use."""

SQL = Statements(Sources.of([Path(__file__).with_name("statements.sql")]))
"""The harness's own statements."""


class BenchError(Exception):
    """The measurement failed or proves Tidemark wrong; the message says why."""


@dataclass(frozen=True)
class Service:
    """A running service with an organization and sensors for the load."""

    port: int
    pid: int
    postgres_pid: int
    server: Server
    credentials: Credentials

    def writes(self) -> tuple[int, int]:
        """Readings stored and writing transactions so far (the latter from an arbitrary start)."""
        return asyncio.run(_writes(self.server.url))


@contextlib.contextmanager
def scratch_server(programs: Programs) -> Iterator[tuple[Path, Server]]:
    """A new, empty embedded server in a data directory that is deleted afterwards."""
    with tempfile.TemporaryDirectory(prefix="tidemark-bench-") as folder:
        data_dir = Path(folder)
        with embedded_server(data_dir, programs.folder) as server:
            yield data_dir, server


async def settle(service: Service) -> None:
    """Wait until all readings are settled, and the database has written out its data and is idle. Raises BenchError."""
    deadline = time.monotonic() + SETTLE_SECONDS
    connection = await asyncpg.connect(service.server.url)
    try:
        while await SQL.unsettled_readings.value(connection) and time.monotonic() < deadline:
            await asyncio.sleep(0.1)
        await SQL.write_out.run(connection)
    finally:
        await connection.close()
    quiet_seconds = 0
    while quiet_seconds < QUIET_SECONDS:
        if time.monotonic() > deadline:
            raise BenchError(f"The database is still busy {SETTLE_SECONDS} s after it was filled.")
        before = process_seconds(service.postgres_pid)
        await asyncio.sleep(1)
        quiet_seconds = quiet_seconds + 1 if process_seconds(service.postgres_pid) - before < IDLE else 0


@contextlib.contextmanager
def running_service(programs: Programs, sensors: int = SENSORS, /, **settings: str) -> Iterator[Service]:
    """Start one worker with these settings and otherwise defaults, then stop it. Raises BenchError.

    There are so many sensors, and as many more series as `MAX_SERIES` allows.
    """
    with scratch_server(programs) as (data_dir, server):
        port = free_port()
        environment = {name: value for name, value in os.environ.items() if not name.startswith("TIDEMARK_")}
        environment |= {"TIDEMARK_DATABASE_URL": server.url, "TIDEMARK_PORT": str(port), **settings}
        output = data_dir / "service.log"
        with output.open("w") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "tidemark", "serve"],
                env=environment,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        try:
            _wait_until_ready(process, port, output)
            credentials = asyncio.run(_make_tenant(server.url, sensors))
            yield Service(port, process.pid, postmaster(data_dir), server, credentials)
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _wait_until_ready(process: "subprocess.Popen[bytes]", port: int, output: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/health/ready", timeout=5):
                return
        except OSError:
            time.sleep(0.05)
    raise BenchError(f"The service did not start:\n{output.read_text()}")


def free_port() -> int:
    """A loopback port that is currently unused."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def _make_tenant(url: str, sensors: int) -> Credentials:
    connection = await asyncpg.connect(url)
    try:
        made = await welcome.create_organization(connection, {"name": "Bench"})
        organization_id = made.organization["organization_id"]
        await SQL.allow_sensors.run(connection, sensors=MAX_SERIES, organization_id=organization_id)
        for number in range(sensors):
            await resources.create(
                connection, resources.SENSORS, made.organization["company_id"], {"id": sensor_id(number)}
            )
    finally:
        await connection.close()
    return Credentials(organization_id, made.api_key)


async def _writes(url: str) -> tuple[int, int]:
    connection = await asyncpg.connect(url)
    try:
        row = await SQL.progress_of_writes.row(connection)
    finally:
        await connection.close()
    assert row is not None  # a SELECT without FROM has one row
    return row["stored"], row["next_transaction"]
