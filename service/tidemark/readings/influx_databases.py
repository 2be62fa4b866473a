"""Databases, or buckets, that InfluxDB's clients make and look for before they write.

Readings go by their organization alone. A database is a name that its organization made and finds again.
"""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from tidemark.base import rules
from tidemark.database.statements import statements

if TYPE_CHECKING:
    from tidemark.database.database import Connected

DEFAULT = "tidemark"
"""What every organization has."""
KEPT = 100
"""So many are kept of an organization, those that were made last."""


class InfluxDatabase(NamedTuple):
    """A database by its name."""

    name: str
    made_at: datetime


async def make(connection: "Connected", company_id: int, name: Any) -> InfluxDatabase:
    """Make one; one that is there already stays. Raises TidemarkError for what is no name."""
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
    """The default one, then those that were made, by name."""
    rows = await statements().influx_databases.rows(connection, company_id=company_id)
    return [_default(), *(InfluxDatabase(*row) for row in rows)]


def _default() -> InfluxDatabase:
    return InfluxDatabase(DEFAULT, datetime.fromtimestamp(0, UTC))
