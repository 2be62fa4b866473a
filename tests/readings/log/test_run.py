"""Rows of the log: what is appended comes back to the last bit, in rows that keep their promises."""

import asyncio
from itertools import pairwise

import asyncpg
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tidemark.base.time import instant
from tidemark.readings.columns import Block, newest
from tidemark.readings.log import run as module
from tidemark.readings.log.few import copied_few
from tidemark.readings.log.items import OwnedReading, gathered
from tidemark.readings.log.rows import fetch_rows
from tidemark.readings.log.run import LATE, copied, run_of

from tests.readings.log.readings import ALL, NOW, copy, last_of, single_readings, winners

DEADLINE = 4_000_000_000_000_000

# Of every row: whether what it says of its readings as a whole is so.
SUMMARIES = """
    SELECT bool_and(
        deadline = $1 AND readings = cardinality(at) AND readings = cardinality(value)
        AND first_series = series [1] AND last_series = series [cardinality(series)]
        AND cardinality(series) = cardinality(starts) AND starts [1] = 1
        AND extract(epoch FROM least_at) * 1000000 = (SELECT min(us) FROM unnest(at) AS us)
        AND extract(epoch FROM greatest_at) * 1000000 = (SELECT max(us) FROM unnest(at) AS us)
        AND series = (SELECT array_agg(DISTINCT one ORDER BY one) FROM unnest(series) AS one)
        AND latitude IS DISTINCT FROM array_fill(NULL::double precision, ARRAY[readings])
        AND metadata IS DISTINCT FROM array_fill(NULL::text, ARRAY[readings])
    )
    FROM reading_log
"""


def test_what_is_appended_comes_back(log_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ROW_READINGS", 3)

    async def come_back(connection: "asyncpg.Connection[asyncpg.Record]", commits: list[list[OwnedReading]]) -> None:
        await connection.execute("TRUNCATE reading_log")
        for readings in commits:
            await copy(connection, readings, DEADLINE)
        rows = await fetch_rows(connection, 0, ALL)
        assert rows is not None
        assert winners(rows) == last_of(reading for readings in commits for reading in readings)
        companies = np.repeat(rows.company_id, rows.readings)
        assert (companies == rows.block.series_id // 10).all()
        assert await connection.fetchval(SUMMARIES, instant(DEADLINE))

    with asyncio.Runner() as runner:
        connection = runner.run(asyncpg.connect(log_url))

        @settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
        @given(st.lists(st.lists(single_readings(), min_size=1, max_size=12), min_size=1, max_size=3))
        def examples(commits: list[list[OwnedReading]]) -> None:
            runner.run(come_back(connection, commits))

        examples()
        runner.run(connection.close())


@given(st.lists(single_readings(), min_size=1, max_size=40), st.integers(1, 5))
def test_rows_are_of_one_company_and_late_ones_apart(readings: list[OwnedReading], most: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "ROW_READINGS", most)
        run = run_of(*gathered(readings), NOW)
    bounds = [*run.starts.tolist(), len(run)]
    keys = list(zip(run.block.series_id.tolist(), run.block.at.tolist(), strict=True))
    assert len(set(keys)) == len(keys) == len(last_of(readings))
    for start, end in pairwise(bounds):
        assert 1 <= end - start <= most
        assert len(set(run.company_id[start:end].tolist())) == 1
        assert len(set((run.block.at[start:end] < NOW - LATE).tolist())) == 1
        assert keys[start:end] == sorted(keys[start:end])


@given(st.lists(st.tuples(st.integers(1, 3), st.integers(0, 4)), min_size=1, max_size=30))
def test_the_last_of_a_series_and_instant_wins(keys: list[tuple[int, int]]) -> None:
    expected = {key: position for position, key in enumerate(keys)}
    series_id, at = zip(*keys, strict=True)
    block = Block(series_id=np.array(series_id, np.int32), at=np.array(at, np.int64), value=np.zeros(len(keys)))
    assert newest(block).tolist() == [expected[key] for key in sorted(expected)]


@given(st.lists(single_readings(), min_size=1, max_size=40), st.integers(0, 2**50))
def test_few_readings_become_the_same_rows(readings: list[OwnedReading], deadline: int) -> None:
    assert copied_few(readings, NOW, deadline) == copied(run_of(*gathered(readings), NOW), deadline)
