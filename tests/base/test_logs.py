"""Logging neither raises nor waits, whatever became of the place where the lines go."""

import os
from collections.abc import Iterator

import pytest
import structlog
from tidemark.base import logs
from tidemark.base.logs import Sink


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    """Both ends of a pipe."""
    ends = os.pipe()
    yield ends
    for end in ends:
        os.close(end)


def test_lines_come_in_their_order(pipe: tuple[int, int]) -> None:
    reader, writer = pipe
    sink = Sink(writer)
    for number in range(100):
        sink.msg(f"line {number} \udcff")
    sink.flush()
    assert os.read(reader, 10_000).decode().splitlines() == [f"line {number} \\udcff" for number in range(100)]


def test_a_full_disk_loses_lines_and_nothing_else() -> None:
    full = os.open("/dev/full", os.O_WRONLY)
    sink = Sink(full)
    sink.msg("lost")
    sink.flush()
    assert sink.lost == 1
    os.close(full)
    sink.msg("lost too")  # now it is not even a file any more
    sink.flush()
    assert sink.lost == 2


def test_a_reader_that_sleeps_holds_nobody_up_and_hears_what_it_missed(
    pipe: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logs, "FLUSH_SECONDS", 0.05)
    reader, writer = pipe
    os.set_blocking(writer, False)
    filled = 0
    while True:
        try:
            filled += os.write(writer, b"x" * 4096)
        except BlockingIOError:
            break
    sink = Sink(writer)
    for _ in range(logs.MAX_LINES + 10):
        sink.msg("a line")
    assert sink.lost >= 9  # one may have been taken out to be written
    monkeypatch.setattr(logs, "FLUSH_SECONDS", 5)
    text = b""
    while not text.endswith(b"a line\n" * 10) or b"log lines were lost" not in text or sink._lines.qsize():
        text += os.read(reader, 65536)
    sink.flush()
    assert text.startswith(b"x" * filled)
    assert b"a line\n" in text


def test_what_cannot_be_rendered_is_logged_plainly(pipe: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    reader, writer = pipe
    sink = Sink(writer)
    monkeypatch.setattr(logs, "_standard_error", lambda: sink)
    before = structlog.get_config()
    try:
        logs.configure_logs("info")
        structlog.get_logger().warning("odd", text="lone surrogate \udcff")
    finally:
        structlog.configure(**before)
    sink.flush()
    line = os.read(reader, 10_000)
    assert b"odd" in line
    assert b"lone surrogate \\\\udcff" in line
