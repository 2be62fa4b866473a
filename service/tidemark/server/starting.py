"""The start of the embedded server with the service: retried until it is up, while the port already answers.

A full disk or a lock that is held may pass; until it does, the service is alive but not ready, and says why. A thread
of its own answers, so that a signal still interrupts what the main thread waits for.
"""

import asyncio
import socket
import time
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import ExitStack, contextmanager
from typing import Any

import structlog
import uvloop

from tidemark.base.settings import Settings
from tidemark.database.database import Database
from tidemark.embedded.failures import PassingError
from tidemark.embedded.server import embedded_server
from tidemark.server import process
from tidemark.server.stopping import Stopping

log = structlog.get_logger(__name__)

FIRST_PAUSE_SECONDS = 1.0
LONGEST_PAUSE_SECONDS = 15.0


@contextmanager
def awaited_server(settings: Settings, listening: socket.socket, stopping: Stopping) -> Iterator[str]:
    """The URL of the embedded server's database, as soon as it is up; until then, requests on `listening` are answered.

    Raises EmbeddedServerError if trying again would not help.
    """
    with ExitStack() as server:
        with _answering(settings, listening) as database:
            url = _start(settings, server, database, stopping)
        yield url


def _start(settings: Settings, stack: ExitStack, database: Database, stopping: Stopping) -> str:
    """Enter the server into the stack, however many attempts it takes."""
    pause = FIRST_PAUSE_SECONDS
    while True:
        try:
            server = embedded_server(
                settings.data_dir, settings.postgres_bin, listen=settings.postgres_listen, stop_seconds=stopping.left
            )
            return stack.enter_context(server).url
        except PassingError as error:
            database.obstacle = error.reason
            log.warning("embedded server does not start; it is tried again", seconds=pause, reason=str(error))
        time.sleep(pause)
        pause = min(2 * pause, LONGEST_PAUSE_SECONDS)


@contextmanager
def _answering(settings: Settings, listening: socket.socket) -> Iterator[Database]:
    """Answer on a socket while there is no database; the `obstacle` of the one yielded is the reason given."""
    begun: Future[Database] = Future()
    stop = asyncio.Event()

    async def answer() -> None:
        # The server here closes its socket at the end; the one given goes on listening for the server that follows.
        async with process.unready(settings, listening.dup()) as database:
            begun.set_result(database)
            await stop.wait()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner, ThreadPoolExecutor(1, "start") as thread:
        answered = thread.submit(runner.run, answer())
        either: tuple[Future[Any], Future[Any]] = begun, answered
        try:
            wait(either, return_when=FIRST_COMPLETED)
            if answered.done():
                answered.result()
            yield begun.result()
        finally:
            runner.get_loop().call_soon_threadsafe(stop.set)
        answered.result()
