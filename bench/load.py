"""Load on an HTTP server: each keep-alive connection sends an upload once the previous one is answered."""

import resource
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from bench.requests import SENSORS, STEP, Credentials

CONNECTIONS = 64
PROCESSES = 2
"""Processes of the harness's own generator. wrk uses one thread, which sends more than several of these."""
PERCENTILES = {"p50": 50.0, "p99": 99.0, "p999": 99.9, "worst": 100.0}


@dataclass(frozen=True)
class Load:
    """The result of a run; latencies in milliseconds, corrected for coordinated omission."""

    seconds: float
    answers: int
    """Answered requests with any status."""
    refused: int
    """Requests with an error status; all others are 201."""
    broken: int
    """Failed connections and missing responses."""
    p50: float
    p99: float
    p999: float
    worst: float
    generator_seconds: float
    """Processor time of the generator, in seconds."""

    @property
    def rate(self) -> float:
        """Responses per second."""
        return self.answers / self.seconds

    @property
    def generator_share(self) -> float:
        """Number of processors that the generator kept busy."""
        return self.generator_seconds / self.seconds


def generator_name() -> str:
    """The load generator used on this machine."""
    return "wrk, one thread" if _wrk() else f"the harness's own, {PROCESSES} processes"


def in_flight_at_end() -> int:
    """How many uploads may be stored although their response is not counted, because wrk disconnects."""
    return CONNECTIONS if _wrk() else 0


def run_load(port: int, seconds: float, credentials: Credentials) -> Load:
    """Put load on 127.0.0.1 for the given number of seconds."""
    before = _children_seconds()
    start = time.time_ns() // 1000
    wrk = _wrk()
    if wrk:
        measured = _run_wrk(wrk, port, start, seconds, credentials)
    else:
        measured = _run_gateways(port, start, seconds, credentials)
    return Load(**measured, generator_seconds=_children_seconds() - before)


def _wrk() -> str | None:
    return shutil.which("wrk")


def _children_seconds() -> float:
    # Only the generator ends between the two calls, so the difference is its processor time.
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def _run_wrk(wrk: str, port: int, start: int, seconds: float, credentials: Credentials) -> dict[str, Any]:
    script = Path(__file__).with_name("gateways.lua")
    done = subprocess.run(
        [
            *(wrk, "-t1", f"-c{CONNECTIONS}", f"-d{max(1, round(seconds))}s", "-s", str(script)),
            *(f"http://127.0.0.1:{port}", "--", str(start), str(SENSORS), str(STEP), *credentials),
        ],
        capture_output=True,
        check=True,
    )
    measured: dict[str, Any] = orjson.loads(done.stdout.splitlines()[-1])
    return measured


def _run_gateways(port: int, start: int, seconds: float, credentials: Credentials) -> dict[str, Any]:
    arguments = [str(port), str(start), str(seconds), str(CONNECTIONS // PROCESSES)]
    processes = [
        subprocess.Popen(
            [sys.executable, "-m", "bench.gateways", *arguments, str(first), str(PROCESSES), *credentials],
            stdout=subprocess.PIPE,
        )
        for first in range(PROCESSES)
    ]
    parts = [orjson.loads(process.communicate()[0]) for process in processes]
    milliseconds = np.concatenate([part["milliseconds"] for part in parts])
    longest = max(part["seconds"] for part in parts)
    interval = longest * 1000 / max(1.0, milliseconds.size / CONNECTIONS)
    latencies = np.percentile(corrected(milliseconds, interval), list(PERCENTILES.values()))
    return {
        "seconds": longest,
        "answers": milliseconds.size,
        "refused": sum(part["refused"] for part in parts),
        "broken": sum(part["broken"] for part in parts),
        **dict(zip(PERCENTILES, latencies.tolist(), strict=True)),
    }


def corrected(latencies: np.ndarray, interval: float) -> np.ndarray:
    """Latencies including those of the requests that a closed loop could not send while it waited.

    Gil Tene's correction for coordinated omission, as in wrk: a response that took longer than the usual interval
    between the requests of a connection adds further latencies, each shorter than the last by one interval.
    """
    parts = [latencies]
    longer = latencies - interval
    while (longer := longer[longer > interval]).size:
        parts.append(longer)
        longer = longer - interval
    return np.concatenate(parts)
