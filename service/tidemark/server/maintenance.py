"""The maintenance process: it settles readings and keeps roll-ups, apart from the processes that serve.

Each server starts one; a lock decides which of them works, and the others stand by. It is a process of its own, since
merging a million readings would hold up the requests of a server's event loop.
"""

import asyncio
import contextlib
import multiprocessing
import signal
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any

import structlog
import uvloop

from tidemark.base.logs import configure_logs
from tidemark.base.settings import Settings
from tidemark.database.database import OUTAGES, Database
from tidemark.database.migration import current_engine
from tidemark.database.statements import Statement, statements
from tidemark.readings.settling.settler import Settler
from tidemark.web.rollup import WebUpkeep

if TYPE_CHECKING:
    from asyncpg import Connection

log = structlog.get_logger(__name__)

IDLE_SECONDS = 0.5
TURN_SECONDS = 1.0
"""How often one that stands by asks whether it is its turn."""
RESTART_SECONDS = 1.0
STOP_SECONDS = 2.0

Job = Callable[["Connection[Any]", str], Awaitable[None]]
"""Work for ever over a connection, on an engine."""


@contextlib.contextmanager
def maintained(settings: Settings, url: str) -> Iterator[None]:
    """Keep a maintenance process running; start another within seconds of its end."""
    leaving = threading.Event()
    keeper = threading.Thread(target=_keep, args=(settings, url, leaving), name="maintenance", daemon=True)
    keeper.start()
    try:
        yield
    finally:
        leaving.set()
        keeper.join(STOP_SECONDS + 1)


def _keep(settings: Settings, url: str, leaving: threading.Event) -> None:
    context = multiprocessing.get_context("spawn")
    while not leaving.is_set():
        # Whatever fails, such as a start without memory or descriptors left, is tried again.
        try:
            process = context.Process(target=_main, args=(settings, url), name="maintenance", daemon=True)
            process.start()
            while process.exitcode is None and not leaving.is_set():
                process.join(0.1)
            if leaving.is_set():
                process.terminate()
                process.join(STOP_SECONDS)
                process.kill()
            else:
                log.error("the maintenance process has ended; starting another", exit_code=process.exitcode)
        except Exception:
            log.exception("the maintenance process does not start; it is tried again")
        leaving.wait(RESTART_SECONDS)


def _main(settings: Settings, url: str) -> None:
    """Run the process. A transaction that it leaves unfinished is undone by the database, so it may end at any time."""
    configure_logs(settings.log_level)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # of a terminal; the server ends this process when it stops
    with contextlib.suppress(asyncio.CancelledError):
        uvloop.run(_with_parent(run(Database(url), settings.max_unsettled)))


async def _with_parent(work: "Awaitable[None]") -> None:
    """Do work until the process that started this one has gone, be it by kill -9."""
    parent = multiprocessing.parent_process()
    task = asyncio.ensure_future(work)
    if parent is not None:
        asyncio.get_running_loop().add_reader(parent.sentinel, task.cancel)
    await task


async def run(database: Database, max_unsettled: int) -> None:
    """Do all maintenance for ever."""
    sql = statements()
    async with asyncio.TaskGroup() as jobs:
        jobs.create_task(_in_turn(database, sql.try_maintenance_lock, partial(_settle, max_unsettled)))
        jobs.create_task(_in_turn(database, sql.try_web_maintenance_lock, _keep_web))


async def _in_turn(database: Database, lock: Statement, job: Job) -> None:
    """Do a job whenever this process holds its lock, waiting for the lock and the database as long as necessary."""
    while True:
        try:
            connection = await database.connect()
            try:
                await job(connection, await _turn(connection, lock))
            finally:
                connection.terminate()
        except OUTAGES as error:
            log.warning("maintenance interrupted", error=str(error) or type(error).__name__)
        except Exception:
            log.exception("maintenance failed; it is tried again")
        await asyncio.sleep(TURN_SECONDS)


async def _turn(connection: "Connection[Any]", lock: Statement) -> str:
    """Wait until the database has this version's schema and this session holds the lock; return the engine."""
    while True:
        engine = await current_engine(connection)
        if engine is not None and await lock.value(connection):
            return engine
        await asyncio.sleep(TURN_SECONDS)


async def _settle(max_unsettled: int, connection: "Connection[Any]", engine: str) -> None:
    await Settler(connection, engine, max_unsettled).run()


async def _keep_web(connection: "Connection[Any]", _engine: str) -> None:
    web = WebUpkeep()
    while True:
        began = time.monotonic()
        if not await web.turn(connection, datetime.now(UTC)):
            await asyncio.sleep(max(IDLE_SECONDS, time.monotonic() - began))
