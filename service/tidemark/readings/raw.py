"""Raw readings in a window."""

from collections.abc import AsyncGenerator, Sequence
from typing import TYPE_CHECKING

from tidemark.base.time import Window, instant
from tidemark.database.database import Database
from tidemark.database.statements import Statement, statements

if TYPE_CHECKING:
    from asyncpg import Record

AT_ONCE = 20_000
"""Largest number of rows that are fetched at once; more are streamed, so memory use stays flat."""


async def readings(
    database: Database,
    company_id: int,
    series_ids: Sequence[int],
    window: Window,
    *,
    order_by: str = "timestamp",
    descending: bool = False,
    limit: int,
) -> "AsyncGenerator[list[Record], None]":
    """The first `limit` readings of each series of an organization, in pieces, all as of one moment.

    The series follow one another as given, with the rows of each ordered by `order_by` (`timestamp` or `value`).
    Columns: series_id, ts, value and the optional ones in their order. Raises TidemarkError.
    """
    statement = _in_order(order_by, descending=descending)
    bounds = {"start": instant(window.start), "finish": instant(window.finish), "max_rows": limit}
    if len(series_ids) * limit <= AT_ONCE:
        async with database.snapshot() as connection:
            rows = await statement.rows(connection, series_ids=series_ids, **bounds)
        yield rows
        return
    async with database.long_snapshot(company_id) as connection, connection.transaction():
        for series_id in series_ids:
            async for piece in statement.pieces(connection, series_ids=[series_id], **bounds):
                yield piece


def _in_order(order_by: str, *, descending: bool) -> Statement:
    sql = statements()
    if order_by == "value":
        return sql.readings_by_value_desc if descending else sql.readings_by_value_asc
    return sql.readings_by_timestamp_desc if descending else sql.readings_by_timestamp_asc
