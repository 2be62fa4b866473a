"""Merging in the log: many small runs become one, which costs readers a fraction."""

from typing import TYPE_CHECKING

from tidemark.base.time import HOUR, microseconds
from tidemark.database.copying import copy_in
from tidemark.database.statements import statements
from tidemark.readings.log.merge import Appended, mergeable
from tidemark.readings.log.rows import fetch_rows
from tidemark.readings.log.run import REWRITTEN, copied, run_of

if TYPE_CHECKING:
    from tidemark.database.database import Connected


async def merge_runs(connection: "Connected", horizon: int) -> int:
    """Merge what is worth it below a horizon that `closed_before` has returned; return how many rows that were.

    The connection holds the store, so nobody settles these runs meanwhile, and is not in a transaction.
    """
    async with connection.transaction(isolation="repeatable_read"):
        runs = [Appended(*row) for row in await statements().appended_before.rows(connection, horizon=horizon)]
        worth = mergeable(runs)
        for stretch in worth:
            await _merge(connection, stretch)
    return sum(run.rows for stretch in worth for run in stretch)


async def _merge(connection: "Connected", stretch: list[Appended]) -> None:
    first, last = stretch[0].xid, stretch[-1].xid
    rows = await fetch_rows(connection, first, last)
    assert rows is not None  # the same snapshot has just listed them
    now = microseconds(await statements().database_now.value(connection))
    run = run_of(rows.company_id.repeat(rows.readings), rows.block, now)
    await statements().delete_runs.run(connection, first=first, last=last)
    await copy_in(connection, "reading_log", REWRITTEN, copied(run, now + HOUR, last))
