"""Failures of the database become errors that clients may retry after."""

from contextlib import AsyncExitStack

import asyncpg
import pytest
from tidemark.base.errors import Kind, TidemarkError
from tidemark.database import database as module
from tidemark.database.database import Database, outages_as_unavailable


def test_an_internal_error_of_the_driver_is_an_outage() -> None:
    with pytest.raises(TidemarkError) as refused, outages_as_unavailable():
        raise asyncpg.InternalClientError("cannot switch to state 12; another operation (2) is in progress")
    assert refused.value.kind is Kind.UNAVAILABLE


async def test_any_error_on_a_lost_connection_is_an_outage(migrated_url: str) -> None:
    database = Database(migrated_url)
    await database.open()
    database.ready.set()

    async def work(*, lose: bool) -> None:
        async with database.session() as connection:
            if lose:
                connection.terminate()
            raise AttributeError("'NoneType' object has no attribute 'decode'")

    with pytest.raises(TidemarkError) as refused:
        await work(lose=True)
    assert refused.value.kind is Kind.UNAVAILABLE
    with pytest.raises(AttributeError):
        await work(lose=False)
    await database.close()


async def test_an_organization_may_use_half_of_the_streams(migrated_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    database = Database(migrated_url, connections=8)
    await database.open()
    database.ready.set()

    async def refusal(company_id: int) -> str:
        with pytest.raises(TidemarkError) as refused:
            async with database.long_snapshot(company_id):
                pass
        assert (refused.value.kind, refused.value.retry_after) == (Kind.UNAVAILABLE, 1)
        return refused.value.message

    async with AsyncExitStack() as others:
        async with AsyncExitStack() as mine:
            for _ in range(2):
                await mine.enter_async_context(database.long_snapshot(1))
                await others.enter_async_context(database.long_snapshot(2))
            monkeypatch.setattr(module, "ACQUIRE_SECONDS", 0.1)
            assert "This organization has too many streamed responses" in await refusal(1)
            assert "Too many large responses" in await refusal(3)
        async with database.long_snapshot(1), database.long_snapshot(3):
            pass
    await database.close()
