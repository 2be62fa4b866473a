"""The groups of the operation writer: one for each company with pending operations, and no others."""

import asyncio
from datetime import UTC, datetime

import pytest
from tidemark.base.errors import TidemarkError
from tidemark.base.watch import Watch
from tidemark.coldchain.operation import Operation
from tidemark.coldchain.operation_writer import OperationBlock, OperationWriter
from tidemark.database.database import Database


def block() -> OperationBlock:
    """One operation of company 1."""
    return OperationBlock(1, [Operation("d1", datetime(2024, 1, 1, tzinfo=UTC), "user_deactivated")], [0])


async def test_a_company_that_is_refused_leaves_no_group_behind() -> None:
    writer = OperationWriter(Database("postgresql://"), Watch(), max_pending=0)
    with pytest.raises(TidemarkError, match="Too many operations"):
        await writer.store(block())
    assert writer._groups == {}
    await writer.close()


async def test_a_client_that_goes_away_leaves_no_group_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    connecting, connected = asyncio.Event(), asyncio.Event()

    async def connect() -> None:
        connecting.set()
        await connected.wait()
        raise ConnectionRefusedError

    database = Database("postgresql://")
    database.ready.set()
    monkeypatch.setattr(database, "connect", connect)
    writer = OperationWriter(database, Watch(), max_pending=100)
    gone = asyncio.create_task(writer.store(block()))
    await connecting.wait()
    gone.cancel()
    await asyncio.wait((gone,))
    group = writer._groups[1]
    connected.set()
    await group.close()  # returns after the commit
    assert writer._groups == {}
    await writer.close()
