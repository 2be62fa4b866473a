"""Structured logs on standard error: readable text on a terminal, JSON lines elsewhere.

Logging never raises and never waits, whatever happens to its destination: a full disk, a pipe whose reader has gone or
has stopped reading. The caller only hands over a line; a separate thread writes it.
"""

import atexit
import json
import logging
import os
import select
import sys
import threading
from functools import cache
from queue import SimpleQueue

import orjson
import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}
MAX_LINES = 10_000
"""Lines that may wait to be written; further ones are lost, and counted."""
MAX_LINE = 64 * 1024
"""Characters of a line; the rest is cut off."""
FLUSH_SECONDS = 1.0
"""How long a process waits at its end for its last lines to be written."""
STANDARD_OUTPUT, STANDARD_ERROR = 1, 2


class Sink:
    """Writes lines to a file descriptor in the order in which they arrive, and counts those that it cannot write.

    Once lines can be written again, one of them says how many were lost.
    """

    def __init__(self, descriptor: int) -> None:
        self.lost = 0
        self._descriptor = descriptor
        self._lines: SimpleQueue[str | threading.Event] = SimpleQueue()
        threading.Thread(target=self._run, name="log", daemon=True).start()

    def msg(self, line: str) -> None:
        """Take a line; returns at once."""
        if self._lines.qsize() < MAX_LINES:
            self._lines.put(line)
        else:
            self.lost += 1

    debug = info = warning = error = critical = exception = msg  # what structlog calls, by level

    def flush(self) -> bool:
        """Wait, for a second at most, until the lines taken are written or lost; False if that was too short."""
        written = threading.Event()
        self._lines.put(written)
        return written.wait(FLUSH_SECONDS)

    def _run(self) -> None:
        while True:
            line = self._lines.get()
            if isinstance(line, threading.Event):
                line.set()
            elif not self._write(line):
                self.lost += 1
            elif self.lost:
                lost, self.lost = self.lost, 0
                self._write(json.dumps({"level": "warning", "event": "log lines were lost", "lines": lost}))

    def _write(self, line: str) -> bool:
        left = memoryview(f"{line[:MAX_LINE]}\n".encode(errors="backslashreplace"))
        while left:
            try:
                left = left[os.write(self._descriptor, left) :]
            except BlockingIOError:  # another process has made the same pipe non-blocking
                if not select.select((), (self._descriptor,), (), FLUSH_SECONDS)[1]:
                    return False
            except OSError:
                return False
        return True


class _Handler(logging.Handler):
    """Passes records of the standard library's logging on to the sink."""

    def __init__(self, sink: Sink) -> None:
        super().__init__()
        self._sink = sink

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self._sink.msg(self.format(record))
        except Exception:
            self._sink.lost += 1


@cache
def _standard_error() -> Sink:
    sink = Sink(STANDARD_ERROR)
    atexit.register(sink.flush)
    return sink


def configure_logs(level: str) -> None:
    """Log from this level up; aiohttp's and asyncio's own messages go the same way."""
    sink = _standard_error()
    shared: list[Processor] = [
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    if sys.stderr.isatty():
        render: list[Processor] = [structlog.dev.ConsoleRenderer()]
    else:
        render = [
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(lambda event, **_: orjson.dumps(event, default=str).decode()),
        ]
    structlog.configure(
        processors=[_unfailing([*shared, *render])],
        wrapper_class=structlog.make_filtering_bound_logger(LEVELS[level]),
        logger_factory=lambda *_: sink,
        cache_logger_on_first_use=True,
    )
    handler = _Handler(sink)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *render],
        )
    )
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)


def _unfailing(processors: list[Processor]) -> Processor:
    """These processors as one, which turns an event on which they fail, such as invalid UTF-8, into a plain line."""

    def process(logger: WrappedLogger, name: str, event: EventDict) -> str:
        plain = dict(event)
        try:
            made: object = event
            for processor in processors:
                made = processor(logger, name, made)  # type: ignore[arg-type]
        except Exception as error:
            return json.dumps({"level": name, "not_rendered": repr(error)} | {key: ascii(plain[key]) for key in plain})
        return str(made)

    return process
