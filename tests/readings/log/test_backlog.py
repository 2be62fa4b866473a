"""Back-pressure: slower towards the limit of what is unsettled, then refused, then taken again."""

import asyncio
from contextlib import AsyncExitStack

import asyncpg
import pytest
from tidemark.base.errors import TidemarkError
from tidemark.embedded.server import Server
from tidemark.readings.log import backlog as module
from tidemark.readings.log.backlog import FREE_BYTES, MAX_PAUSE_SECONDS, READING_BYTES, Backlog

from tests.conftest import MakeTenant, StartService, ago, new_database


def test_commits_slow_down_from_half_of_the_limit() -> None:
    backlog = Backlog(1000)
    pauses = []
    for readings in (0, 400, 500, 750, 900, 999):
        backlog.note(readings, 0)
        backlog.refuse_if_full()
        pauses.append(backlog.pause)
    assert pauses[:3] == [0, 0, 0]
    assert pauses == sorted(pauses)
    assert pauses[3] == pytest.approx(MAX_PAUSE_SECONDS / 2)


@pytest.mark.parametrize(("readings", "size"), [(1000, 0), (0, FREE_BYTES + 1000 * READING_BYTES)])
def test_at_the_limit_writes_are_refused_until_it_has_drained(readings: int, size: int) -> None:
    backlog = Backlog(1000)
    backlog.note(readings, size)
    with pytest.raises(TidemarkError) as refused:
        backlog.refuse_if_full()
    assert refused.value.retry_after == module.RETRY_AFTER
    backlog.note(readings // 2, size // 2)
    backlog.refuse_if_full()


async def test_a_service_whose_settler_is_held_back_refuses_then_recovers(
    server: Server, start_service: StartService, make_tenant: MakeTenant
) -> None:
    """Another session holds the store, as a long delete does."""
    async with new_database(server) as url, AsyncExitStack() as held:
        service = start_service(url, TIDEMARK_MAX_UNSETTLED="1000")
        tenant = await make_tenant(service, url)
        sensor = await tenant.sensor()
        holder = await asyncpg.connect(url)
        held.push_async_callback(holder.close)
        await holder.execute("SELECT pg_advisory_lock(7463006)")
        number, status = 0, 201
        while status != 503:
            number += 1
            body = [{"sensor": sensor, "timestamp": ago(seconds=number * 500 + at), "value": at} for at in range(500)]
            response = await tenant.manage("POST", "readings", body)
            status = response.status
            assert number < 5_000, "nobody refuses"
        assert int(response.headers["Retry-After"]) > 0
        await holder.execute("SELECT pg_advisory_unlock(7463006)")
        while (await tenant.upload(sensor, ago(seconds=1), 1)).status == 503:
            await asyncio.sleep(0.1)
