"""The appender on real servers: the last write wins, also where connections delay, break and come back."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from itertools import count

import asyncpg
import numpy as np
import pytest
from tidemark.base.errors import Kind, TidemarkError
from tidemark.base.watch import Watch
from tidemark.database.database import Database
from tidemark.readings.columns import Block, newest
from tidemark.readings.log import append as module
from tidemark.readings.log import attempt
from tidemark.readings.log.append import Appender
from tidemark.readings.log.backlog import Backlog
from tidemark.readings.log.items import OwnedReading
from tidemark.readings.log.rows import fetch_rows

from tests.readings.log.proxy import COPY_DONE, Proxy, proxied
from tests.readings.log.readings import ALL, NOW, copy, last_of, logged, single


@asynccontextmanager
async def appending(*urls: str) -> AsyncIterator[list[Appender]]:
    """Appenders as processes of their own have them, one for each URL of the database."""
    databases = [Database(url) for url in urls]
    for database in databases:
        database.ready.set()
    appenders = [Appender(database, Watch(), Backlog(1_000_000_000), max_pending=1_000_000) for database in databases]
    yield appenders
    for appender in appenders:
        await appender.close()


@pytest.fixture
def one_lane(monkeypatch: pytest.MonkeyPatch) -> None:
    """A lane that every append takes."""
    monkeypatch.setattr(module, "LANES", 1)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Deadlines that a test can wait for."""
    monkeypatch.setattr(attempt, "DEADLINE_SECONDS", 0.5)
    monkeypatch.setattr(attempt, "MARGIN_SECONDS", 0.1)


def reading(value: float, series_id: int = 1) -> OwnedReading:
    """A write of this value; all of a series are of one instant."""
    return single(1, series_id, NOW, value)


async def without_deadline(url: str) -> None:
    """Let the server take an append whenever it comes."""
    connection = await asyncpg.connect(url)
    await connection.execute("ALTER TABLE reading_log DISABLE TRIGGER late_append")
    await connection.close()


async def test_readings_and_blocks_are_appended_in_their_order(log_url: str) -> None:
    block = Block(series_id=np.array([1, 2, 1], np.int32), at=np.array([NOW] * 3), value=np.array([1.0, 2.0, 3.0]))
    complete = single(2, 9, NOW, -0.0, latitude=47.1, x_axis_value=8.0, metadata='{"a": 1}')
    async with appending(log_url) as [appender]:
        writes = [
            appender.store(*complete),
            appender.store(*reading(0.5)),
            appender.store_block(1, block),
            appender.store(*single(1, 2, NOW, 4.0)),
            appender.store_block(1, block.take(slice(0))),
        ]
        await asyncio.gather(*writes)
        await appender.store_block(1, block.take(slice(0)))
    singles = [complete, reading(3.0), single(1, 2, NOW, 4.0)]
    assert await logged(log_url) == last_of(singles)


async def test_what_is_pending_counts_alike_however_it_comes(log_url: str) -> None:
    """Blocks take less memory for each reading, so more of their readings may be pending."""
    block = Block(series_id=np.full(5, 1, np.int32), at=NOW + np.arange(5), value=np.arange(5.0))
    database = Database(log_url)
    database.ready.set()
    appender = Appender(database, Watch(), Backlog(1_000_000_000), max_pending=2)
    accepted = [appender.shared_commit(*reading(1.0)) for _ in range(2)]
    with pytest.raises(TidemarkError, match="Too many readings are waiting"):
        appender.shared_commit(*reading(2.0))
    with pytest.raises(TidemarkError, match="Too many readings are waiting"):
        await appender.store_block(1, block)
    await asyncio.gather(*accepted)
    blocks = [asyncio.create_task(appender.store_block(1, block))]
    await asyncio.sleep(0)
    last = appender.shared_commit(*reading(3.0, series_id=2))
    with pytest.raises(TidemarkError, match="Too many readings are waiting"):
        appender.shared_commit(*reading(4.0))
    await asyncio.gather(last, *blocks)
    await appender.close()
    assert len(await logged(log_url)) == 5 + 1


@pytest.mark.usefixtures("quick", "one_lane")
@pytest.mark.parametrize("deadline", [True, False])
async def test_an_append_that_was_given_up_does_not_come_back(log_url: str, *, deadline: bool) -> None:
    """Its client writes it again, and overwrites it; then the first attempt arrives."""
    if not deadline:
        await without_deadline(log_url)
    async with proxied(log_url) as proxy, appending(proxy.url, log_url) as [appender, other]:
        await appender.store(*reading(0.0))
        proxy.hold()
        proxy.refusing = True
        begun = asyncio.get_running_loop().time()
        first = asyncio.create_task(appender.store(*reading(1.0)))
        link = await proxy.cut_once_sent()
        with pytest.raises(TidemarkError) as refused:
            await first
        assert refused.value.kind is Kind.UNAVAILABLE
        assert asyncio.get_running_loop().time() - begun >= attempt.DEADLINE_SECONDS
        await other.store(*reading(1.0))
        await other.store(*reading(2.0))
        link.release()
        await link.answered()
    # Without the deadline the anomaly is here: what was acknowledged last is lost.
    assert await logged(log_url) == last_of([reading(2.0 if deadline else 1.0)])


@pytest.mark.usefixtures("quick", "one_lane")
async def test_an_append_that_has_its_place_in_the_order_may_commit_after_its_deadline(log_url: str) -> None:
    async with proxied(log_url) as proxy, appending(proxy.url, log_url) as [appender, other]:
        await appender.store(*reading(0.0))
        proxy.hold()
        proxy.refusing = True
        first = asyncio.create_task(appender.store(*reading(1.0)))
        link = await proxy.cut_once_sent()
        link.release(-len(COPY_DONE))
        with pytest.raises(TidemarkError):
            await first
        await other.store(*reading(2.0))
        link.release()
        await link.answered()
    connection = await asyncpg.connect(log_url)
    assert await connection.fetchval("SELECT array_agg(value [1] ORDER BY run) FROM reading_log") == [0.0, 1.0, 2.0]
    await connection.close()
    assert await logged(log_url) == last_of([reading(2.0)])


@pytest.mark.usefixtures("one_lane")
@pytest.mark.parametrize("ending", [True, False])
async def test_an_append_is_tried_again_once_its_session_has_ended(
    log_url: str, monkeypatch: pytest.MonkeyPatch, *, ending: bool
) -> None:
    """The same where the database is in reach: it is tried again at once, long before the deadline."""

    async def leave_alone(*_: object) -> None:
        pass

    if not ending:
        monkeypatch.setattr(module, "end", leave_alone)
    await without_deadline(log_url)  # it takes no part in this
    async with proxied(log_url) as proxy, appending(proxy.url) as [appender]:
        await appender.store(*reading(0.0))
        proxy.hold()
        first = asyncio.create_task(appender.store(*reading(1.0)))
        link = await proxy.cut_once_sent()
        await first
        await appender.store(*reading(2.0))
        assert link.ended == ending
        link.release()
        await link.answered()
    assert await logged(log_url) == last_of([reading(2.0 if ending else 1.0)])


@pytest.mark.usefixtures("quick", "one_lane")
async def test_what_comes_while_the_database_is_lost_is_refused_at_once(log_url: str) -> None:
    async with proxied(log_url) as proxy, appending(proxy.url) as [appender]:
        await appender.store(*reading(0.0))
        proxy.hold()
        proxy.refusing = True
        first = asyncio.create_task(appender.store(*reading(1.0)))
        await proxy.cut_once_sent()
        while not appender._lost:
            await asyncio.sleep(0.001)
        with pytest.raises(TidemarkError, match="cannot be reached"):
            await appender.store(*reading(2.0))
        with pytest.raises(TidemarkError, match="cannot be reached"):
            appender.shared_commit(*reading(2.0))
        with pytest.raises(TidemarkError, match="could not be stored"):
            await first
        proxy.refusing = False
        await appender.shared_commit(*reading(3.0))
    assert await logged(log_url) == last_of([reading(3.0)])


@pytest.mark.usefixtures("one_lane")
async def test_a_clock_that_was_corrected_costs_one_attempt(log_url: str) -> None:
    async with appending(log_url) as [appender]:
        await appender.store(*reading(1.0))
        [lane] = appender._lanes
        assert lane._session is not None
        stale = lane._session = replace(lane._session, now=lane._session.now - timedelta(hours=1))
        await appender.store(*reading(2.0))
        assert lane._session.now - stale.now > timedelta(minutes=59)
    assert await logged(log_url) == last_of([reading(2.0)])


async def test_a_write_is_later_than_all_that_was_acknowledged_before_it(log_url: str) -> None:
    """Not so that of a transaction that has its id before its append."""
    early = await asyncpg.connect(log_url)
    transaction = early.transaction()
    await transaction.start()
    await early.fetchval("SELECT pg_current_xact_id()")
    async with appending(log_url, log_url) as appenders:
        for value in range(6):
            await appenders[value % 2].store(*reading(value))
    assert await logged(log_url) == last_of([reading(5.0)])
    await copy(early, [reading(9.0)], 2 * NOW)
    await transaction.commit()
    await early.close()
    assert await logged(log_url) == last_of([reading(5.0)])


@dataclass
class Write:
    """A write, and from when to when it was under way."""

    series_id: int
    begun: int
    ended: int = 0
    acknowledged: bool = False


async def disturb(proxy: Proxy, rng: random.Random) -> None:
    """Delay what is sent, cut off some clients, let it go on: longer than deadlines are, now and then."""
    while True:
        await asyncio.sleep(rng.uniform(0.01, 0.2))
        proxy.hold()
        proxy.refusing = rng.random() < 0.3
        await asyncio.sleep(rng.uniform(0, 0.05))
        for link in proxy.links:
            if rng.random() < 0.5:
                link.client.transport.abort()
        await asyncio.sleep(rng.uniform(0, 0.8))
        proxy.refusing = False
        proxy.release()


@pytest.mark.usefixtures("quick")
async def test_the_last_write_wins_among_processes_whatever_happens_to_their_connections(log_url: str) -> None:
    moments, writes, rng = count(), [Write(0, 0)], random.Random(7)
    finish = asyncio.get_running_loop().time() + 4

    async def write(appender: Appender) -> None:
        while asyncio.get_running_loop().time() < finish:
            one = Write(rng.randrange(1, 60), next(moments))
            writes.append(one)
            try:
                await appender.store(*reading(len(writes) - 1, one.series_id))
                one.acknowledged = True
            except TidemarkError:
                await asyncio.sleep(0.01)  # it may have been stored, but is over
            one.ended = next(moments)

    async with (
        proxied(log_url) as first,
        proxied(log_url) as second,
        appending(first.url, second.url, log_url) as appenders,
    ):
        disturbing = [asyncio.create_task(disturb(proxy, rng)) for proxy in (first, second)]
        await asyncio.gather(*(write(appender) for appender in appenders for _ in range(3)))
        for task in disturbing:
            task.cancel()
        await asyncio.gather(*disturbing, return_exceptions=True)
        await first.finish()
        await second.finish()
    connection = await asyncpg.connect(log_url)
    rows = await fetch_rows(connection, 0, ALL)
    await connection.close()
    assert rows is not None
    last = newest(rows.block)
    found = dict(zip(rows.block.series_id[last].tolist(), rows.block.value[last].astype(int).tolist(), strict=True))
    acknowledged = [one for one in writes if one.acknowledged]
    assert len(acknowledged) > 100
    for one in acknowledged:
        winner = writes[found[one.series_id]]
        assert winner.series_id == one.series_id
        assert winner.ended > one.begun, "it was over before a write began that was acknowledged"
