"""Other time-series databases that accept line protocol, if they are installed.

They run on loopback with their data in a temporary folder and otherwise default settings."""

import contextlib
import shutil
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from bench.service import START_SECONDS, STOP_SECONDS, BenchError, free_port


@dataclass(frozen=True)
class Rival:
    """A database to compare with."""

    name: str
    program: str
    acknowledges: str
    """What has happened when a write is acknowledged."""
    command: Callable[[str, Path, int], list[str]]
    """The command line, from its program, a folder and a port."""
    ready: str
    """A path that responds once it is ready, and that creates what writes need."""


@dataclass(frozen=True)
class Running:
    """A rival at work."""

    port: int
    pid: int


def _influxdb(program: str, folder: Path, port: int) -> list[str]:
    settings = folder / "influxdb.conf"
    settings.write_text(
        f'reporting-enabled = false\nbind-address = "127.0.0.1:{free_port()}"\n'
        f'[meta]\ndir = "{folder}/meta"\n[data]\ndir = "{folder}/data"\nwal-dir = "{folder}/wal"\n'
        f'[http]\nbind-address = "127.0.0.1:{port}"\nlog-enabled = false\n[ifql]\nenabled = false\n'
    )
    return [program, "-config", str(settings)]


def _victoria_metrics(program: str, folder: Path, port: int) -> list[str]:
    return [program, f"-httpListenAddr=127.0.0.1:{port}", f"-storageDataPath={folder}/data"]


RIVALS = (
    Rival("InfluxDB", "influxd", "log on disk", _influxdb, "/query?q=CREATE+DATABASE+bench"),
    Rival("VictoriaMetrics", "victoria-metrics", "in memory", _victoria_metrics, "/health"),
)


def installed() -> list[Rival]:
    """The rivals whose programs are on the PATH."""
    return [rival for rival in RIVALS if shutil.which(rival.program)]


@contextlib.contextmanager
def running_rival(rival: Rival) -> Iterator[Running]:
    """Start a rival, then stop it. Raises BenchError."""
    program = shutil.which(rival.program)
    assert program is not None  # it is installed
    with tempfile.TemporaryDirectory(prefix="tidemark-bench-") as folder:
        port = free_port()
        log = Path(folder) / "log"
        with log.open("w") as output:
            process = subprocess.Popen(
                rival.command(program, Path(folder), port), stdout=output, stderr=subprocess.STDOUT
            )
        try:
            _wait_until_ready(f"http://127.0.0.1:{port}{rival.ready}", process, log)
            yield Running(port, process.pid)
        finally:
            process.terminate()
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _wait_until_ready(url: str, process: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        try:
            # InfluxDB creates databases only by POST, which VictoriaMetrics accepts too.
            with urllib.request.urlopen(urllib.request.Request(url, method="POST"), timeout=5):
                return
        except OSError:
            time.sleep(0.05)
    raise BenchError(f"{process.args!r} did not start:\n{log.read_text()}")
