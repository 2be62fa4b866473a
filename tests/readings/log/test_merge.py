"""Which small runs are made one: whole transactions, none left out between them, and none written again and again."""

import asyncpg
import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from tidemark.base.time import LATEST
from tidemark.database.statements import statements
from tidemark.readings.log.closing import closed_before
from tidemark.readings.log.merge import MERGED_READINGS, Appended, mergeable
from tidemark.readings.log.rows import fetch_rows
from tidemark.readings.log.run import REWRITTEN, copied, run_of

from tests.readings.log.readings import NOW, copy, logged, single

runs = st.builds(lambda rows, each: (rows * each, rows), st.integers(1, 20), st.sampled_from((1, 3, 64, 200, 1_000)))


def closed(*sizes: tuple[int, int]) -> list[Appended]:
    """Runs of so many readings in so many rows."""
    return [Appended(xid, *size) for xid, size in enumerate(sizes, start=1)]


def xids(stretches: list[list[Appended]]) -> list[list[int]]:
    """The transactions of stretches."""
    return [[run.xid for run in stretch] for stretch in stretches]


def test_many_small_runs_become_one() -> None:
    assert xids(mergeable(closed(*[(64, 1)] * 10))) == [[*range(1, 11)]]


def test_a_few_are_left_alone() -> None:
    assert mergeable(closed(*[(64, 1)] * 7)) == []
    assert mergeable([]) == []


def test_large_runs_are_not_touched_and_not_jumped_over() -> None:
    small, large = [(10, 1)] * 9, (15_000, 15)
    assert xids(mergeable(closed(*small, large, *small))) == [[*range(1, 10)], [*range(11, 20)]]


def test_a_merged_run_is_merged_again_only_with_many_times_as_much() -> None:
    merged = (6_400, 640)
    assert xids(mergeable(closed(merged, *[(10, 1)] * 9))) == [[*range(2, 11)]]
    assert xids(mergeable(closed(merged, *[(64, 64)] * 700))) == [[*range(1, 702)]]


@given(st.lists(runs, max_size=60))
def test_a_stretch_is_consecutive_bounded_and_worth_it(sizes: list[tuple[int, int]]) -> None:
    everything = closed(*sizes)
    stretches = mergeable(everything)
    for stretch in stretches:
        first = stretch[0].xid
        assert stretch == everything[first - 1 : first - 1 + len(stretch)]
        assert all(run.small for run in stretch)
        readings = [run.readings for run in stretch]
        assert sum(readings) >= 8 * max(readings)
        assert sum(readings[:-1]) < MERGED_READINGS
    assert xids(stretches) == sorted(xids(stretches))
    assert len({run.xid for stretch in stretches for run in stretch}) == sum(map(len, stretches))


async def test_merged_runs_keep_their_place_in_the_order_of_writes(log_url: str) -> None:
    connection = await asyncpg.connect(log_url)
    for number in range(20):
        company = number % 2 + 1
        own = [single(company, company * 10 + series, NOW, float(number)) for series in range(number % 5 + 1)]
        await copy(connection, own, 2 * NOW)
    before = await logged(log_url)
    horizon = await closed_before(connection)
    closed = [Appended(*row.values()) for row in await statements().appended_before.rows(connection, horizon=horizon)]
    [stretch] = mergeable(closed[:-1])
    first, last = stretch[0].xid, stretch[-1].xid
    rows = await fetch_rows(connection, first, last)
    assert rows is not None
    run = run_of(np.repeat(rows.company_id, rows.readings), rows.block, NOW)
    async with connection.transaction():
        await connection.execute("DELETE FROM reading_log WHERE xid BETWEEN $1 AND $2", first, last)
        data = memoryview(copied(run, LATEST, last))
        await connection.copy_to_table("reading_log", source=data, columns=REWRITTEN, format="binary")  # type: ignore[arg-type]
    assert await connection.fetchval("SELECT count(*) FROM reading_log") == 2 + 1
    assert await logged(log_url) == before
    await connection.close()
