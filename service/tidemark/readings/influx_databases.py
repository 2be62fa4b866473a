"""Databases, or buckets, which InfluxDB's clients create and look up before they write.

Readings belong to an organization, not to a database. A database is only a name that its organization has created.
"""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from tidemark.base import rules
from tidemark.database.statements import statements

if TYPE_CHECKING:
    from tidemark.database.database import Connected

DEFAULT = "tidemark"
"""The database that every organization has."""
KEPT = 100
"""Largest number of databases per organization; only the newest are kept."""


class InfluxDatabase(NamedTuple):
    """A database and the time of its creation."""

    name: str
    made_at: datetime


async def make(connection: "Connected", company_id: int, name: Any) -> InfluxDatabase:
    """Create a database unless it exists. Raises TidemarkError for an invalid name."""
    rules.text("name", name)
    if name == DEFAULT:
        return _default()
    sql = statements()
    async with connection.transaction():
        await sql.lock_influx_databases.run(connection, company_id=company_id)
        row = await sql.make_influx_database.row(connection, company_id=company_id, name=name)
        await sql.forget_influx_databases.run(connection, company_id=company_id, kept=KEPT)
    assert row is not None  # RETURNING
    return InfluxDatabase(*row)


async def every(connection: "Connected", company_id: int) -> list[InfluxDatabase]:
    """The default database, then those that were created, ordered by name."""
    rows = await statements().influx_databases.rows(connection, company_id=company_id)
    return [_default(), *(InfluxDatabase(*row) for row in rows)]


def _default() -> InfluxDatabase:
    return InfluxDatabase(DEFAULT, datetime.fromtimestamp(0, UTC))
