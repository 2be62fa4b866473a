"""The service stays alive when what it stands on fails: its log, its disk, its file descriptors, its supervisor."""

import asyncio
import contextlib
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tidemark.embedded.server import Server, embedded_server

from tests.conftest import PROGRAMS, MakeTenant, Service, StartService, ago, free_port, wait_until_ready
from tests.server.test_running import _children, _command, _kill, stored, upload_until_refused

MEGABYTE = 2**20
SECONDS = 20


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 400 MB."""
    place = tmp_path / "disk"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=400m,mode=0755", "tmpfs", place], capture_output=True, check=False
    )
    if mounted.returncode != 0:
        pytest.skip("NOT TESTED: a full disk needs a user who may mount one")
    yield place
    subprocess.run(["umount", "--lazy", place], check=True)


def fill(place: Path) -> Path:
    """Take all the space that a file system has left; answers the file that holds it."""
    filler = place / "filler"
    with filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        for size in (MEGABYTE, 4096, 1):
            with contextlib.suppress(OSError):
                while True:
                    file.write(b"\0" * size)
    return filler


async def test_a_full_disk_under_data_and_log_refuses_writes_until_there_is_space(
    engine: str, small_disk: Path, start_service: StartService, make_tenant: MakeTenant
) -> None:
    service = start_service(
        None,
        output=small_disk / "log",
        TIDEMARK_DATA_DIR=str(small_disk / "data"),
        TIDEMARK_POSTGRES_BIN=str(PROGRAMS[engine].folder),
        TIDEMARK_LOG_LEVEL="debug",
    )
    with embedded_server(small_disk / "data") as server:
        tenant = await make_tenant(service, server.url)
    sensor = await tenant.sensor()

    async def upload(number: int) -> int:
        return (await tenant.upload(sensor, ago(seconds=number), number, metadata={"x": "y" * 40_000})).status

    assert await upload(0) == 201
    filler = fill(small_disk)
    number = status = 0
    while status != 503:  # the write-ahead log has some space in store
        number += 1
        assert number < 2_000
        status = await upload(number)
        assert status in (201, 503)
    filler.unlink()
    deadline = time.monotonic() + SECONDS
    while await upload(number) != 201:
        assert time.monotonic() < deadline, "no write comes through although there is space again"
        await asyncio.sleep(0.05)
    await asyncio.to_thread(wait_until_ready, service)
    assert service.stop() == 0


async def test_a_log_whose_reader_has_gone_stops_nothing(
    server: Server, tmp_path: Path, start_service: StartService, make_tenant: MakeTenant
) -> None:
    pipe = tmp_path / "log"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    service = start_service(server.url, output=pipe, TIDEMARK_LOG_LEVEL="debug")
    os.close(reader)
    tenant = await make_tenant(service)
    sensor = await tenant.sensor()
    for second in range(20):
        assert (await tenant.upload(sensor, ago(seconds=second), second)).status == 201
    assert await stored(tenant, sensor) == set(range(20))
    assert service.stop() == 0


async def test_a_server_that_crashes_while_no_file_can_be_opened_comes_back(
    engine: str, tmp_path: Path, start_service: StartService
) -> None:
    service = start_service(
        None, TIDEMARK_DATA_DIR=str(tmp_path / "data"), TIDEMARK_POSTGRES_BIN=str(PROGRAMS[engine].folder)
    )
    pid = service.process.pid
    before = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (3, before[1]))
    _kill(int((tmp_path / "data" / "postgres" / "postmaster.pid").read_text().split()[0]))
    deadline = time.monotonic() + SECONDS
    while "Too many open files" not in service.output.read_text():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.05)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, before)
    await asyncio.to_thread(wait_until_ready, service)
    assert service.stop() == 0


async def test_workers_end_with_their_supervisor_after_committing_what_they_took(
    engine: str, tmp_path: Path, start_service: StartService, make_tenant: MakeTenant
) -> None:
    settings = {
        "TIDEMARK_DATA_DIR": str(tmp_path / "data"),
        "TIDEMARK_POSTGRES_BIN": str(PROGRAMS[engine].folder),
        "TIDEMARK_WORKERS": "2",
    }
    service = start_service(None, **settings)
    with embedded_server(tmp_path / "data") as server:
        tenant = await make_tenant(service, server.url)
    sensor = await tenant.sensor()
    acknowledged: set[int] = set()
    gateways = [
        asyncio.create_task(upload_until_refused(tenant, sensor, acknowledged, number, 8)) for number in range(8)
    ]
    while len(acknowledged) < 200:
        await asyncio.sleep(0.01)
    workers = [pid for pid in _children(service.process.pid) if "spawn_main" in _command(pid)]
    assert len(workers) == 3, "two that serve, and the maintenance process"
    service.process.kill()
    service.process.wait()
    again = start_service(None, TIDEMARK_PORT=str(service.port), **settings)
    await asyncio.gather(*gateways)
    deadline = time.monotonic() + SECONDS
    while any(_command(pid) for pid in workers):
        assert time.monotonic() < deadline
        await asyncio.sleep(0.05)
    assert acknowledged <= await stored(tenant, sensor)
    assert again.stop() == 0
    assert not (tmp_path / "data" / "postgres" / "postmaster.pid").exists()


@pytest.mark.parametrize("workers", ["1", "2"])
async def test_stopping_takes_ten_seconds_at_most_whatever_hangs(
    engine: str, tmp_path: Path, start_service: StartService, make_tenant: MakeTenant, workers: str
) -> None:
    service = start_service(
        None,
        TIDEMARK_DATA_DIR=str(tmp_path / "data"),
        TIDEMARK_POSTGRES_BIN=str(PROGRAMS[engine].folder),
        TIDEMARK_WORKERS=workers,
    )
    with embedded_server(tmp_path / "data") as server:
        tenant = await make_tenant(service, server.url)
    sensor = await tenant.sensor()
    assert (await tenant.upload(sensor, ago(hours=1), 1)).status == 201
    postmaster = int((tmp_path / "data" / "postgres" / "postmaster.pid").read_text().split()[0])
    hanging = [postmaster, *_children(postmaster)]
    for pid in hanging:
        os.kill(pid, signal.SIGSTOP)
    try:
        waiting = [asyncio.create_task(tenant.upload(sensor, ago(hours=2, seconds=n), n)) for n in range(3)]
        await asyncio.sleep(0)  # they are on their way
        began = time.monotonic()
        assert await asyncio.to_thread(service.stop) == 0, service.output.read_text()
        assert time.monotonic() - began < 11
        await asyncio.gather(*waiting, return_exceptions=True)
    finally:
        tenant._connection.terminate()  # it could not say goodbye
        for pid in hanging:
            _kill(pid)


def test_a_first_start_whose_output_nobody_reads_serves_and_stops(server: Server, tmp_path: Path) -> None:
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(writer, b"x" * 4096)
    os.set_blocking(writer, True)
    port = free_port()
    settings = {
        "TIDEMARK_DATA_DIR": str(tmp_path / "data"),
        "TIDEMARK_POSTGRES_BIN": str(server.programs.folder),
        "TIDEMARK_PORT": str(port),
    }
    log = tmp_path / "log"
    with (
        log.open("w") as file,
        subprocess.Popen(
            [sys.executable, "-m", "tidemark", "serve"],
            env={**os.environ, **settings},
            stdout=writer,
            stderr=file,
            text=True,
        ) as process,
    ):
        service = Service(process, port, None, settings, log)
        wait_until_ready(service)
        assert service.stop() == 0
    os.close(reader)
    os.close(writer)
    assert "tidemark org rotate-key" in log.read_text()
