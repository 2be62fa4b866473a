"""Runs the service: the embedded server where one is needed, then one process, or several that share the port."""

import asyncio
import contextlib
import errno
import multiprocessing
import multiprocessing.connection
import os
import signal
import socket
import sys
import time
from collections.abc import Iterator
from multiprocessing.process import BaseProcess
from types import FrameType

import asyncpg
import structlog
import uvloop

from tidemark.base.logs import configure_logs
from tidemark.base.settings import SettingError, Settings
from tidemark.database.engine import EngineError
from tidemark.database.migration import SchemaTooNewError
from tidemark.embedded.server import kept_up
from tidemark.server import process
from tidemark.server.connections import report_shortage
from tidemark.server.database_url import ServeError, embedded_errors
from tidemark.server.maintenance import maintained
from tidemark.server.starting import awaited_server
from tidemark.server.stopping import Stopping

log = structlog.get_logger(__name__)

PORT_SECONDS = 2.0
"""How long to wait for a port that is in use: workers whose supervisor was killed release it at once."""
WORKER_SECONDS = 7.0
"""How long workers may take to stop; by then what they accepted has committed, unless the database hangs."""
RESTART_SECONDS = 1.0
FATAL = 3
"""Exit code of a worker that would only fail again if it were restarted."""


def serve(settings: Settings, *, json_output: bool = False) -> None:
    """Serve until SIGTERM or SIGINT, then finish what was accepted. Raises ServeError.

    The first organization of an empty database is printed, as text for people or as a JSON document.
    """
    stopping = Stopping()
    with embedded_errors(), contextlib.ExitStack() as stack:
        # Bound before anything else: a second start on a port in use fails at once, and changes nothing.
        sockets = [stack.enter_context(one) for one in _listen(settings)]
        url = settings.database_url
        if url is None:
            with _interruptible(stopping):
                url = stack.enter_context(awaited_server(settings, sockets[0], stopping))
            stack.enter_context(kept_up(settings.data_dir, settings.postgres_bin, listen=settings.postgres_listen))
        report_shortage(settings.max_connections, settings.workers)
        stack.enter_context(maintained(settings, url))
        if settings.workers == 1:
            _serve_here(settings, url, sockets[0], json_output, stopping)
        else:
            _serve_in_workers(settings, url, sockets, json_output, stopping)


def _listen(settings: Settings) -> list[socket.socket]:
    """One listening socket for each worker. Raises ServeError."""
    deadline = time.monotonic() + PORT_SECONDS
    while True:
        try:
            return _bind(settings)
        except OSError as error:
            if error.errno == errno.EADDRINUSE and time.monotonic() < deadline:
                time.sleep(0.05)
                continue
            raise ServeError(
                f"Tidemark cannot listen on {settings.host}:{settings.port}: {error.strerror or error}. "
                f"Is it already running? Set TIDEMARK_HOST or TIDEMARK_PORT to listen elsewhere."
            ) from None


def _bind(settings: Settings) -> list[socket.socket]:
    family, kind, protocol, _, address = socket.getaddrinfo(
        settings.host, settings.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    # Sockets that share a port would share it with a second service too; one that does not finds the port in use.
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
    return sockets


@contextlib.contextmanager
def _interruptible(stopping: Stopping) -> Iterator[None]:
    """While the embedded server starts, before the event loop handles signals: SIGTERM ends the start cleanly."""

    def leave(_signal: int, _frame: FrameType | None) -> None:
        stopping.begin()
        raise SystemExit(0)

    before = signal.signal(signal.SIGTERM, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _serve_here(settings: Settings, url: str, listening: socket.socket, json_output: bool, stopping: Stopping) -> None:
    async def run() -> None:
        stop = asyncio.Event()

        def asked() -> None:
            stopping.begin()
            stop.set()

        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, asked)
        _stop_with_supervisor(stop)
        await process.serve(settings, url, listening, stop, json_output=json_output)

    try:
        uvloop.run(run())
    except (EngineError, SchemaTooNewError, SettingError) as error:
        raise ServeError(str(error)) from None
    except asyncpg.PostgresError as error:
        raise ServeError(f"The database cannot be set up: {error}.") from None


def _stop_with_supervisor(stop: asyncio.Event) -> None:
    """In a worker: stop when the supervisor has gone, since nothing else restarts workers and the database server."""
    supervisor = multiprocessing.parent_process()
    if supervisor is None:
        return
    loop, sentinel = asyncio.get_running_loop(), supervisor.sentinel

    def gone() -> None:
        loop.remove_reader(sentinel)
        if not stop.is_set():
            log.error("the supervisor has gone; stopping")
            stop.set()

    loop.add_reader(sentinel, gone)


def _worker(settings: Settings, url: str, listening: socket.socket, json_output: bool) -> None:
    """Run a worker, which a terminal's Ctrl-C and its parent's SIGTERM end alike."""
    configure_logs(settings.log_level)
    try:
        _serve_here(settings, url, listening, json_output, Stopping())
    except ServeError as error:
        log.error("worker cannot serve", reason=str(error))  # noqa: TRY400 - the reason is all there is to say
        sys.exit(FATAL)


class _Workers:
    """The worker processes: kept running until one cannot, or a signal says stop."""

    def __init__(
        self, settings: Settings, url: str, sockets: list[socket.socket], json_output: bool, stopping: Stopping
    ) -> None:
        self._sockets = sockets
        self._stop_time = stopping
        self._context = multiprocessing.get_context("spawn")
        self._arguments = [(settings, url, listening, json_output) for listening in sockets]
        self._processes = [self._start(index) for index in range(len(sockets))]
        self._stopping = False

    def stop(self, _signal: int, _frame: FrameType | None) -> None:
        """Signal handler: end the watch."""
        self._stop_time.begin()
        self._stopping = True

    def watch(self) -> None:
        """Start another worker for each that ends. Raises ServeError if that would only end again."""
        while not self._stopping:
            multiprocessing.connection.wait([one.sentinel for one in self._processes], timeout=0.2)
            for index, worker in enumerate(self._processes):
                if worker.exitcode == FATAL:
                    raise ServeError("The workers cannot serve; the log above says why.")
                if worker.exitcode is not None and not self._stopping:
                    log.error("worker ended; starting another", pid=worker.pid, exit_code=worker.exitcode)
                    time.sleep(RESTART_SECONDS)
                    self._start_again(index)

    def finish(self) -> None:
        """Let every worker finish what it accepted."""
        for listening in self._sockets:
            listening.close()  # or connections would still be accepted, with nobody to answer them
        for worker in self._processes:
            if worker.pid is not None and worker.exitcode is None:
                os.kill(worker.pid, signal.SIGTERM)
        deadline = time.monotonic() + WORKER_SECONDS
        for worker in self._processes:
            worker.join(max(0.0, deadline - time.monotonic()))
            if worker.exitcode is None:
                worker.kill()

    def _start_again(self, index: int) -> None:
        try:
            self._processes[index] = self._start(index)
        except OSError:  # out of memory, processes or file descriptors just now
            log.exception("worker does not start; it is tried again")

    def _start(self, index: int) -> BaseProcess:
        worker = self._context.Process(target=_worker, args=self._arguments[index], daemon=True)
        worker.start()
        return worker


def _serve_in_workers(
    settings: Settings, url: str, sockets: list[socket.socket], json_output: bool, stopping: Stopping
) -> None:
    workers = _Workers(settings, url, sockets, json_output, stopping)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, workers.stop)
    try:
        workers.watch()
    finally:
        workers.finish()
