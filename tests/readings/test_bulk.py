"""The bulk writer against a plain dictionary: whichever way a reading takes, the last write of it wins."""

import asyncio

import asyncpg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs
from tidemark.base.watch import Watch
from tidemark.database.database import Database
from tidemark.readings import bulk
from tidemark.readings.bulk import BulkWriter
from tidemark.readings.columns import Block
from tidemark.readings.optional_columns import OPTIONAL

from tests.readings.test_columns import Row, block_of, rows

BEGIN = 1_600_000_000_000_000
NAMES = ", ".join(column.name for column in OPTIONAL)

blocks = st.lists(st.lists(rows, min_size=1, max_size=15), min_size=1, max_size=5)


def block_of_seconds(table: list[Row]) -> Block:
    """A block of rows whose instants are seconds."""
    return block_of([(series, second * 1_000_000 + BEGIN, *rest) for series, second, *rest in table])


@pytest.mark.parametrize("dense", [1, 8])
def test_the_last_write_wins_whichever_way_it_takes(
    migrated_url: str, dense: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk, "WORTH_LOOKING", 1)
    monkeypatch.setattr(bulk, "DENSE", dense)

    async def store(turns: list[list[list[Row]]]) -> None:
        connection = await asyncpg.connect(migrated_url)
        await connection.execute("TRUNCATE reading")
        database = Database(migrated_url)
        database.ready.set()
        expected: dict[Row, Row] = {}
        for turn in turns:
            # A writer that is new does not know what is stored, as after a restart.
            writer = BulkWriter(database, Watch(), max_pending=1000)
            for part in turn:
                await writer.store(block_of_seconds(part))
                expected.update({row[:2]: row[2:] for row in part})
            await writer.close()
        stored = await connection.fetch(f"SELECT series_id, ts, value, {NAMES} FROM reading")
        found = {(row[0], round(row[1].timestamp() - BEGIN / 1e6)): row[2:] for row in stored}
        assert repr(sorted(found.items())) == repr(sorted(expected.items()))  # which tells −0 from 0
        await connection.close()

    @settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(st.lists(blocks, min_size=1, max_size=3))
    def examples(turns: list[list[list[Row]]]) -> None:
        with capture_logs() as logs:
            asyncio.run(store(turns))
        assert logs == []  # a copy that the primary key refused would have been tried again

    examples()
