"""The limit on readings per minute of an organization, counted in the database for all server processes together."""

import time

from tidemark.base.errors import Kind, TidemarkError
from tidemark.catalog.principal import Principal
from tidemark.database.database import Database
from tidemark.database.statements import statements


async def spend(database: Database, principal: Principal, readings: int, *, together: bool = True) -> int:
    """Count readings that are about to be stored, and return how many of them may be.

    That is all of them or, if they need not be stored together, at least one. Raises TidemarkError (429) if this
    minute's limit has no room.
    """
    if principal.readings_per_minute is None or readings == 0:
        return readings
    async with database.session() as connection:
        granted: int = await statements().spend_readings.value(
            connection, company_id=principal.company_id, readings=readings, together=together
        )
    if granted:
        return granted
    hint = " This request has more than that; send it in parts." if readings > principal.readings_per_minute else ""
    raise TidemarkError(
        Kind.RATE_LIMIT_EXCEEDED,
        f"The organization may send {principal.readings_per_minute} readings a minute; try again in the next one."
        + (hint if together else ""),
        retry_after=60 - int(time.time()) % 60,
    )
