"""Processor time of a process with all its children, and of the whole machine."""

import contextlib
from pathlib import Path

import psutil


def process_seconds(pid: int) -> float:
    """User and system seconds used by a process and all its children, including those that have ended."""
    root = psutil.Process(pid)
    total = _seconds(root)
    for child in root.children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):
            total += _seconds(child)
    return total


def own_seconds(pid: int) -> float:
    """User and system seconds used by a process itself, without its children."""
    times = psutil.Process(pid).cpu_times()
    return float(times.user + times.system)


def machine_seconds() -> float:
    """Total busy seconds of all processors since the machine started."""
    times = psutil.cpu_times()
    return float(times.user + times.nice + times.system + getattr(times, "irq", 0) + getattr(times, "softirq", 0))


def own_memory(pid: int) -> int:
    """Bytes of memory that a process does not share (its unique set size)."""
    return int(psutil.Process(pid).memory_full_info().uss)


def resident_memory(pid: int) -> int:
    """Bytes of memory of a process that are in RAM (its resident set size)."""
    return int(psutil.Process(pid).memory_info().rss)


def memory_of_all(pid: int) -> int:
    """Bytes of memory that a process and its children do not share with others."""
    root = psutil.Process(pid)
    return sum(int(one.memory_full_info().uss) for one in (root, *root.children(recursive=True)))


def postmaster(data_dir: Path) -> int:
    """The process id of the embedded server of a data directory."""
    return int((data_dir / "postgres" / "postmaster.pid").read_text().split(maxsplit=1)[0])


def _seconds(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system + times.children_user + times.children_system)
