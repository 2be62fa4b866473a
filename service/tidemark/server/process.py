"""One server process: its parts, its sockets, and how they start and stop together."""

import asyncio
import contextlib
import gc
import socket
from collections.abc import AsyncIterator

import structlog
from aiohttp import web

from tidemark.base.logs import STANDARD_OUTPUT, Sink
from tidemark.base.settings import Settings
from tidemark.base.watch import Watch
from tidemark.catalog import welcome
from tidemark.catalog.access import Access
from tidemark.catalog.directory import Directory
from tidemark.catalog.hearing import hear
from tidemark.catalog.memory import Memory
from tidemark.coldchain.operation_writer import OperationWriter
from tidemark.database.database import OUTAGES, Database, obstacle_of
from tidemark.database.migration import migrate
from tidemark.http.answer import AnswerCache
from tidemark.http.core import Core
from tidemark.http.room import Room
from tidemark.http.surface import SURFACE_MAP
from tidemark.readings.http.parts import ReadingParts
from tidemark.readings.log.append import Appender
from tidemark.readings.log.backlog import Backlog
from tidemark.readings.settling.restored import settle_restored
from tidemark.readings.statistics import StatisticsQuery
from tidemark.server.aiohttp_lane import AiohttpLane
from tidemark.server.application import application
from tidemark.server.connections import Connections, possible
from tidemark.server.express import ExpressLane
from tidemark.server.parts import Parts
from tidemark.web.addresses import Addresses
from tidemark.web.countries import Countries
from tidemark.web.http.parts import WebParts
from tidemark.web.visitors import Visitors
from tidemark.web.writer import CollectorLimits, WebWriter

log = structlog.get_logger(__name__)

BACKLOG = 1024
HELD_BODIES = 2
"""How many bodies of the largest size fit in memory at once."""
RECONNECT_SECONDS = 1.0
CLOSE_SECONDS = 1.0
UNHEARD_SECONDS = 2.0
"""How long a process waits for its database before it listens without one."""
FINISH_SECONDS = 3.5
"""How long requests in progress may take to finish once the process is asked to stop, which has 10 s in total."""
COMMIT_SECONDS = 1.5
"""How long what was accepted may then take to commit: it takes milliseconds, unless the database hangs."""


async def serve(
    settings: Settings, url: str, listening: socket.socket, stop: asyncio.Event, *, json_output: bool = False
) -> None:
    """Serve on a listening socket until `stop` is set, then finish what was accepted.

    Raises EngineError or SchemaTooNewError if the database does not suit this version of Tidemark.
    """
    gc.freeze()  # modules stay for good, and collections need not look at them
    async with _parts(settings, url) as parts:
        core = parts.core
        address = listening.getsockname()
        preparing = asyncio.create_task(_prepare(core, address[:2], json_output))
        hearing = core.watch.start("announcements", hear(core.database, parts.memory))
        # Not with what hears announcements: those who announce must not wait for it.
        noting = core.watch.start("use of tokens", core.access.note_token_use_regularly())
        stopped = asyncio.create_task(stop.wait())
        try:
            # With a database at hand nobody need see this process unready; without one it says so itself.
            await asyncio.wait((preparing, stopped), timeout=UNHEARD_SECONDS, return_when=asyncio.FIRST_COMPLETED)
            if preparing.done():
                preparing.result()
            async with _listening(parts, listening):
                log.info("listening", host=address[0], port=address[1])
                await asyncio.wait((preparing, stopped), return_when=asyncio.FIRST_COMPLETED)
                if preparing.done():
                    preparing.result()
                    await stopped
                log.info("stopping")
        finally:
            await _cancel(preparing, hearing, noting, stopped)


@contextlib.asynccontextmanager
async def unready(settings: Settings, listening: socket.socket) -> AsyncIterator[Database]:
    """Answer on a listening socket while there is no database to serve from yet: live, not ready, 503 for the rest.

    Yields the database that is not ready, which nothing connects to.
    """
    async with _parts(settings, "postgresql://") as parts, _listening(parts, listening):
        yield parts.core.database


@contextlib.asynccontextmanager
async def _parts(settings: Settings, url: str) -> AsyncIterator[Parts]:
    countries = Countries(settings.geoip_db)
    database, watch = Database(url), Watch()
    await database.open()
    memory, max_pending, backlog = Memory(), settings.max_pending, Backlog(settings.max_unsettled)
    watch.start("backlog", backlog.watch(database))
    access = Access(database, memory)
    parts = Parts(
        Core(
            settings,
            database,
            access,
            Directory(database, memory),
            AnswerCache(settings.cache_seconds),
            Room(settings.max_body * HELD_BODIES),
            watch,
        ),
        memory,
        ReadingParts(
            Appender(database, watch, backlog, max_pending=max_pending),
            StatisticsQuery(database),
        ),
        OperationWriter(database, watch, max_pending=max_pending),
        WebParts(
            WebWriter(database, watch, max_pending=max_pending, limits=_collector_limits(settings)),
            Visitors(database),
            Addresses(database),
            countries,
        ),
    )
    try:
        yield parts
    finally:
        writers = (parts.readings.appender, parts.operations, parts.web.writer)
        last_work = asyncio.gather(*(one.close() for one in writers), access.note_token_use())
        try:
            await asyncio.wait_for(last_work, COMMIT_SECONDS)
        except TimeoutError:
            log.warning("stopping without the database, which hangs; only what has committed was acknowledged")
        parts.web.visitors.close()
        await database.close()
        countries.close()


def _collector_limits(settings: Settings) -> CollectorLimits:
    return CollectorLimits(settings.collect_per_minute, settings.collect_per_address, settings.collect_names)


@contextlib.asynccontextmanager
async def _listening(parts: Parts, listening: socket.socket) -> AsyncIterator[None]:
    """Both lanes on the socket: connections begin in the express lane and may move to aiohttp."""
    app = application(parts)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=FINISH_SECONDS)
    await runner.setup()
    assert runner.server is not None  # setup makes it
    core = parts.core
    settings = core.settings
    connections = Connections(possible(settings.max_connections, settings.workers), settings.trusted_proxies)
    lane = ExpressLane(
        core.database,
        core.access,
        core.directory,
        parts.readings.appender,
        AiohttpLane(runner.server, app[SURFACE_MAP], connections),
        connections,
        max_body=settings.max_body,
        log_requests=settings.log_level == "debug",
    )
    server = await asyncio.get_running_loop().create_server(lane, sock=listening, backlog=BACKLOG)
    try:
        yield
    finally:
        server.close()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(asyncio.gather(lane.close(), runner.cleanup()), FINISH_SECONDS + 0.5)
        connections.close()


async def _prepare(core: Core, address: tuple[str, int], json_output: bool) -> str:
    """Bring the database up to date as soon as it can be reached; return its engine."""
    waiting = False
    while True:
        try:
            connection = await core.database.connect()
            try:
                schema = await migrate(connection, core.settings.engine)
                await settle_restored(connection, schema.engine)
                greeting = await welcome.first_organization(connection, *address, json_output=json_output)
            finally:
                await connection.close(timeout=CLOSE_SECONDS)
        except OUTAGES as error:
            if not waiting:
                log.warning("waiting for the database", error=str(error) or type(error).__name__)
            waiting = True
            core.database.obstacle = obstacle_of(error)
            await asyncio.sleep(RECONNECT_SECONDS)
        else:
            if greeting is not None:
                await asyncio.to_thread(_greet, greeting)
            log.info("ready", engine=schema.engine, reason=schema.reason, schema=schema.version)
            core.database.engine = schema.engine
            core.database.ready.set()
            return schema.engine


def _greet(text: str) -> None:
    """Print what is shown only once. Standard output that is full or unread must not hold up the service."""
    output = Sink(STANDARD_OUTPUT)
    output.msg(text)
    if not output.flush() or output.lost:
        log.error(
            "the first organization's secrets could not be shown; replace them with 'tidemark org rotate-key' and "
            "'tidemark token create --scope admin'"
        )


async def _cancel(*tasks: "asyncio.Task[object]") -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
