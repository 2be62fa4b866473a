"""CSV of a long window: all of it, in constant memory, and never apparently complete after a failure."""

import asyncio
import contextlib
import csv
import io
import re
import socket
from collections.abc import Iterable
from pathlib import Path

import asyncpg
import pytest
from tidemark.base.values import format_instant

from tests.coldchain.requests import get
from tests.conftest import MakeTenant, Service, StartService, Tenant

BEGIN = 1_772_323_200_000_000  # 2026-03-01
SECONDS = 200_000
WINDOW = {"sensors": "busy,calm", "start": "2026-03-01", "end": "2026-03-31"}


async def store_csv(tenant: Tenant, sensor: str, seconds: Iterable[int]) -> None:
    """Store a reading of a sensor at each of these seconds; its value is the second."""
    rows = (f"{sensor},{format_instant(BEGIN + at * 1_000_000)},{at}\n" for at in seconds)
    body = io.BytesIO(("sensor,timestamp,value\n" + "".join(rows)).encode())
    headers = {**tenant.keys, "Content-Type": "text/csv"}
    async with tenant.session.post(f"{tenant.base}/api/v1/readings", data=body, headers=headers) as response:
        assert response.status == 200, await response.text()


@pytest.fixture
async def busy(service: Service, start_service: StartService, make_tenant: MakeTenant) -> tuple[Service, Tenant]:
    """A separate, unused service, and a tenant with a sensor read every second and one read every ten seconds."""
    own = start_service(service.database_url)
    tenant = await make_tenant(service)
    for sensor, step in (("busy", 1), ("calm", 10)):
        await tenant.sensor(id=sensor)
        await store_csv(tenant, sensor, range(0, SECONDS, step))
    tenant.base = own.base
    return own, tenant


def peak_kilobytes(service: Service) -> int:
    """The peak memory of the service, in kilobytes."""
    found = re.search(r"VmHWM:\s*(\d+)", Path(f"/proc/{service.process.pid}/status").read_text())
    assert found is not None
    return int(found[1])


async def slow_reader(port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A connection with hardly any buffer for what is not read."""
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection.setblocking(False)
    await asyncio.get_running_loop().sock_connect(connection, ("127.0.0.1", port))
    return await asyncio.open_connection(sock=connection, limit=1024)


async def test_a_long_window_comes_whole_in_constant_memory(busy: tuple[Service, Tenant]) -> None:
    service, tenant = busy
    as_csv = {**tenant.keys, "Accept": "text/csv"}
    await get(tenant, "series", as_csv, **{**WINDOW, "end": "2026-03-01T00:10:00"})  # what any first response needs
    before = peak_kilobytes(service)
    response = await get(tenant, "series", as_csv, **WINDOW)
    assert response.headers["X-Total-Count"] == str(SECONDS * 11 // 10)
    assert (response.headers["X-Aggregation"], "Content-Length" in response.headers) == ("raw", False)
    rows = csv.DictReader(io.StringIO(await response.text(), newline=""))
    expected = ((at, sensor) for at in range(SECONDS) for sensor in (("busy",) if at % 10 else ("busy", "calm")))
    for row, (at, sensor) in zip(rows, expected, strict=True):
        assert (row["sensor_id"], float(row["value"])) == (sensor, at)
    assert row["timestamp"] == format_instant(BEGIN + at * 1_000_000)
    # Holding all of it at once would take fifty megabytes or more.
    assert peak_kilobytes(service) - before < 20_000


async def test_a_database_that_stops_midway_breaks_off_the_response(busy: tuple[Service, Tenant]) -> None:
    service, tenant = busy
    connection = await asyncpg.connect(service.database_url)
    database = await connection.fetchval("SELECT current_database()")
    headers = "".join(f"{name}: {value}\r\n" for name, value in {**tenant.keys, "Accept": "text/csv"}.items())
    path = "/api/v1/series?" + "&".join(f"{name}={value}" for name, value in WINDOW.items())
    reader, writer = await asyncio.open_connection("127.0.0.1", service.port, limit=1024)
    writer.write(f"GET {path} HTTP/1.1\r\nHost: x\r\n{headers}\r\n".encode())
    assert b" 200 " in await reader.readline()
    end = """
        SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
        WHERE
            datname = $1 AND query LIKE '%series_with_unsettled%' AND xact_start IS NOT NULL
            AND pid <> pg_backend_pid()
    """
    async with asyncio.timeout(20):
        while not await connection.fetchval(end, database):
            pass
    with contextlib.suppress(ConnectionError):
        received = b"".join([piece async for piece in reader])
        assert not received.endswith(b"0\r\n\r\n")
    writer.close()
    await connection.close()
    assert (await get(tenant, "latest", tenant.keys)).status == 200, "and the service goes on"


async def test_slow_readers_of_one_organization_keep_no_other_from_its_streams(
    busy: tuple[Service, Tenant], make_tenant: MakeTenant
) -> None:
    service, tenant = busy
    other = await make_tenant(service)
    await other.sensor(id="busy")
    await other.sensor(id="calm")
    headers = "".join(f"{name}: {value}\r\n" for name, value in {**tenant.keys, "Accept": "text/csv"}.items())
    path = "/api/v1/series?" + "&".join(f"{name}={value}" for name, value in WINDOW.items())
    slow = [await slow_reader(service.port) for _ in range(4)]
    for _, writer in slow:
        writer.write(f"GET {path} HTTP/1.1\r\nHost: x\r\n{headers}\r\n".encode())
    begun = [asyncio.create_task(reader.readline()) for reader, _ in slow]
    for _, status in zip(range(2), asyncio.as_completed(begun), strict=False):
        assert b" 200 " in await status
    response = await get(other, "series", {**other.keys, "Accept": "text/csv"}, **WINDOW)
    assert response.status == 200, await response.text()
    for task in begun:
        task.cancel()
    for _, writer in slow:
        writer.transport.abort()
