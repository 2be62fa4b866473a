"""What the service does while its embedded server cannot start: it is alive, not ready, says why, and tries again."""

import json
import os
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import PROGRAMS, Service, StartService, wait_until_ready

DISK = 300 * 2**20
"""Bytes; room for a cluster and little else."""


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A small file system of the test's own."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={DISK}", "tmpfs", folder], capture_output=True, text=True, check=False
    )
    if mounted.returncode != 0:
        pytest.skip(f"NOT TESTED: starting on a full disk, since none can be mounted: {mounted.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)


def fill(folder: Path, leave: int = 0) -> Path:
    """Fill a file system but for so many bytes; returns the file that does."""
    filler = folder / "filler"
    free = os.statvfs(folder)
    with filler.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, free.f_bavail * free.f_bsize - leave)
    return filler


def ask(service: Service, path: str, body: bytes | None = None) -> tuple[int, dict[str, str]]:
    """The status and the document of an answer."""
    request = urllib.request.Request(f"{service.base}{path}", body, {"Authorization": "Bearer anything"})
    try:
        with urllib.request.urlopen(request, timeout=5) as response:
            return response.status, json.load(response)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)


def wait_for_reason(service: Service, reason: str) -> None:
    """Wait until the service says that it is not ready for this reason; alive it is all the time."""
    wait_until_ready(service, "/health/live")
    deadline = time.monotonic() + 30
    while (ready := ask(service, "/health/ready")) != (503, {"status": "unavailable", "reason": reason}):
        assert time.monotonic() < deadline, ready
        assert ask(service, "/health/live")[0] == 200
        time.sleep(0.05)


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_full_disk_is_waited_for(engine: str, disk: Path, start_service: StartService, workers: str) -> None:
    settings = {
        "TIDEMARK_DATA_DIR": str(disk / "data"),
        "TIDEMARK_POSTGRES_BIN": str(PROGRAMS[engine].folder),
        "TIDEMARK_WORKERS": workers,
    }
    for leave in (20 * 2**20, 0):  # too little for a new cluster; not a byte for one that is there
        filler = fill(disk, leave)
        service = start_service(None, wait_ready=False, **settings)
        wait_for_reason(service, "There is no space left for the embedded database.")
        assert "embedded server does not start; it is tried again" in service.output.read_text()
        assert ask(service, "/write", b"a b=1")[0] == 503
        filler.unlink()
        wait_until_ready(service)
        assert service.stop() == 0, service.output.read_text()


def test_stopping_does_not_wait_for_space(engine: str, disk: Path, start_service: StartService) -> None:
    fill(disk)
    service = start_service(
        None,
        wait_ready=False,
        TIDEMARK_DATA_DIR=str(disk / "data"),
        TIDEMARK_POSTGRES_BIN=str(PROGRAMS[engine].folder),
    )
    wait_for_reason(service, "There is no space left for the embedded database.")
    assert service.stop() == 0, service.output.read_text()


def test_what_waiting_does_not_mend_ends_the_start(tmp_path: Path, start_service: StartService) -> None:
    service = start_service(
        None, wait_ready=False, TIDEMARK_DATA_DIR=str(tmp_path / "data"), TIDEMARK_POSTGRES_BIN=str(tmp_path)
    )
    assert service.process.wait(20) == 1
    assert "TIDEMARK_POSTGRES_BIN" in service.output.read_text()
