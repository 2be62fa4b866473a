"""The bulk writer against a plain dictionary: whichever way a reading takes, the last write of it wins."""

import asyncio

import asyncpg
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs
from tidemark.base.watch import Watch
from tidemark.database.database import Database
from tidemark.readings import bulk
from tidemark.readings.bulk import BulkWriter
from tidemark.readings.columns import Block

BEGIN = 1_600_000_000_000_000
Reading = tuple[int, int, float]

readings = st.tuples(st.integers(1, 3), st.integers(0, 12), st.sampled_from((0.0, -0.0)) | st.floats(-1, 1))
blocks = st.lists(st.lists(readings, min_size=1, max_size=15), min_size=1, max_size=5)


def block_of(given: list[Reading]) -> Block:
    """A block of readings of (series, second, value)."""
    series, at, value = zip(*given, strict=True)
    instants = np.array(at, dtype=np.int64) * 1_000_000 + BEGIN
    return Block(np.array(series, dtype=np.int32), instants, np.array(value))


@pytest.mark.parametrize("dense", [1, 8])
def test_the_last_write_wins_whichever_way_it_takes(
    migrated_url: str, dense: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk, "WORTH_LOOKING", 1)
    monkeypatch.setattr(bulk, "DENSE", dense)

    async def store(turns: list[list[list[Reading]]]) -> None:
        connection = await asyncpg.connect(migrated_url)
        await connection.execute("TRUNCATE reading")
        database = Database(migrated_url)
        database.ready.set()
        expected: dict[tuple[int, int], float] = {}
        for turn in turns:
            # A writer that is new does not know what is stored, as after a restart.
            writer = BulkWriter(database, Watch(), max_pending=1000)
            for part in turn:
                await writer.store(block_of(part))
                expected.update({(series, second): value for series, second, value in part})
            await writer.close()
        rows = await connection.fetch("SELECT series_id, ts, value FROM reading")
        found = {(row[0], round(row[1].timestamp() - BEGIN / 1e6)): row[2] for row in rows}
        assert repr(sorted(found.items())) == repr(sorted(expected.items()))  # which tells −0 from 0
        await connection.close()

    @settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(st.lists(blocks, min_size=1, max_size=3))
    def examples(turns: list[list[list[Reading]]]) -> None:
        with capture_logs() as logs:
            asyncio.run(store(turns))
        assert logs == []  # a copy that the primary key refused would have been tried again

    examples()
