"""Failures of the database become what clients may come back after."""

import asyncpg
import pytest
from tidemark.base.errors import Kind, TidemarkError
from tidemark.database.database import Database, outages_as_unavailable


def test_a_driver_that_lost_its_way_is_an_outage() -> None:
    with pytest.raises(TidemarkError) as refused, outages_as_unavailable():
        raise asyncpg.InternalClientError("cannot switch to state 12; another operation (2) is in progress")
    assert refused.value.kind is Kind.UNAVAILABLE


async def test_whatever_is_raised_over_a_lost_connection_is_an_outage(migrated_url: str) -> None:
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
