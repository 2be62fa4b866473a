"""Runs the service: the embedded server where one is needed, then one process, or several that share the port."""

import asyncio
import contextlib
import multiprocessing
import os
import signal
import socket
import sys
import time
from collections.abc import Iterator
from multiprocessing.process import BaseProcess
from types import FrameType

import structlog
import uvloop

from service import process
from service.logs import configure_logs
from service.settings import Settings
from service.storage.embedded import embedded_server
from service.storage.engine import EngineError
from service.storage.migration import SchemaTooNewError
from service.storage.programs import EmbeddedServerError

log = structlog.get_logger(__name__)

STOP_SECONDS = 9.0
RESTART_SECONDS = 1.0
FATAL = 3
"""Exit code of a worker that would fail again if it were started again."""


class ServeError(Exception):
    """The service cannot run; the message tells what to do."""


@contextlib.contextmanager
def database_url(settings: Settings) -> Iterator[str]:
    """The URL of the database that the settings name, with the embedded server up where it is that. Raises ServeError."""
    if settings.database_url is not None:
        yield settings.database_url
        return
    try:
        with embedded_server(settings.data_dir, settings.postgres_bin) as server:
            yield server.url
    except EmbeddedServerError as error:
        raise ServeError(str(error)) from None


def serve(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT, then finish what was accepted. Raises ServeError."""
    with contextlib.ExitStack() as stack:
        # Taken before anything else: a second start on a taken port fails at once, and changes nothing.
        sockets = [stack.enter_context(one) for one in _listen(settings)]
        with _interruptible():
            url = stack.enter_context(database_url(settings))
        if settings.workers == 1:
            _serve_here(settings, url, sockets[0])
        else:
            _serve_in_workers(settings, url, sockets)


def _listen(settings: Settings) -> list[socket.socket]:
    """One listening socket for each worker."""
    host, port = settings.host, settings.port
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        # Sockets that share a port are also shared with a second service; one that does not share finds it taken.
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
            address = probe.getsockname()
        sockets = []
        for _ in range(settings.workers):
            one = socket.socket(family, kind, protocol)
            one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if settings.workers > 1:
                one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            one.bind(address)
            one.setblocking(False)
            sockets.append(one)
    except OSError as error:
        raise ServeError(
            f"Tidemark cannot listen on {host}:{port}: {error.strerror or error}. "
            f"Is it running already? TIDEMARK_HOST and TIDEMARK_PORT choose another place."
        ) from None
    return sockets


@contextlib.contextmanager
def _interruptible() -> Iterator[None]:
    """While the embedded server starts, before the loop takes over: SIGTERM ends the start in order."""

    def leave(_signal: int, _frame: FrameType | None) -> None:
        raise SystemExit(0)

    before = signal.signal(signal.SIGTERM, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _serve_here(settings: Settings, url: str, listening: socket.socket) -> None:
    async def run() -> None:
        stop = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        await process.serve(settings, url, listening, stop)

    try:
        uvloop.run(run())
    except (EngineError, SchemaTooNewError) as error:
        raise ServeError(str(error)) from None


def _worker(settings: Settings, url: str, listening: socket.socket) -> None:
    """A worker's whole life; it ends with its parent, since a terminal's Ctrl-C and the parent's SIGTERM both stop it."""
    configure_logs(settings.log_level)
    try:
        _serve_here(settings, url, listening)
    except ServeError as error:
        log.error("worker cannot serve", reason=str(error))  # noqa: TRY400 - the reason is all there is to say
        sys.exit(FATAL)


def _serve_in_workers(settings: Settings, url: str, sockets: list[socket.socket]) -> None:
    stopping = False

    def stop(_signal: int, _frame: FrameType | None) -> None:
        nonlocal stopping
        stopping = True

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    context = multiprocessing.get_context("spawn")

    def start(listening: socket.socket) -> BaseProcess:
        worker = context.Process(target=_worker, args=(settings, url, listening), daemon=True)
        worker.start()
        return worker

    workers = [start(one) for one in sockets]
    fatal = False
    while not stopping and not fatal:
        multiprocessing.connection.wait([worker.sentinel for worker in workers], timeout=0.2)
        for place, worker in enumerate(workers):
            if worker.exitcode is None or stopping:
                continue
            fatal = fatal or worker.exitcode == FATAL
            if not fatal:
                log.error("worker ended; starting another", pid=worker.pid, exit_code=worker.exitcode)
                time.sleep(RESTART_SECONDS)
                workers[place] = start(sockets[place])
    for worker in workers:
        if worker.pid is not None and worker.exitcode is None:
            os.kill(worker.pid, signal.SIGTERM)
    deadline = time.monotonic() + STOP_SECONDS
    for worker in workers:
        worker.join(max(0.0, deadline - time.monotonic()))
        if worker.exitcode is None:
            worker.kill()
    if fatal:
        raise ServeError("The workers cannot serve; the log above says why.")
