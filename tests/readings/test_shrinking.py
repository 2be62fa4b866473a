"""The log's space on disk, once all of it is settled."""

from datetime import timedelta

import pytest
from tidemark.base.time import instant, microseconds
from tidemark.database.statements import statements
from tidemark.readings.settling import settler
from tidemark.readings.settling.settler import Settler

from tests.readings.store_and_log import BEGIN, SERIES, Connection, connections_to, write

AT_MOST = 256 * 1024


async def bytes_of_log(connection: Connection) -> int:
    row = await statements().unsettled.row(connection)
    assert row is not None
    return int(row["bytes"])


async def test_a_drained_log_gives_its_space_back(
    migrated_url: str, engine: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settler, "SHRINK_BYTES", AT_MOST)
    monkeypatch.setattr(settler, "SHRINK_SECONDS", 0.0)
    async with connections_to(migrated_url) as connections:
        writer, reader, job = [await connections.one() for _ in range(3)]
        at = [microseconds(BEGIN) + second * 1_000_000 for second in range(50_000)]
        await write(writer, {(SERIES[0], one): one % 1009 / 7 for one in at})
        assert await bytes_of_log(reader) > AT_MOST
        maintenance, now = Settler(job, engine, 1_000_000), instant(at[-1]) + timedelta(days=1)
        async with reader.transaction(isolation="repeatable_read"):
            assert await bytes_of_log(reader) > AT_MOST
            while await maintenance.step(now):
                pass
            assert await bytes_of_log(writer) > AT_MOST, "a snapshot still needs it"
        while await maintenance.step(now):
            pass
        assert await bytes_of_log(writer) < AT_MOST
