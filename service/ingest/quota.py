"""How many readings an organization may send a minute; counted in the database, for all server processes together."""

import time

from service.access import Principal
from service.errors import Kind, TidemarkError
from service.storage.database import Database
from service.storage.statements import statements


async def spend(database: Database, principal: Principal, readings: int) -> None:
    """Count readings that are about to be stored. Raises TidemarkError (429) where they pass the minute's limit."""
    if principal.readings_per_minute is None or readings == 0:
        return
    async with database.session() as connection:
        counted = await statements().spend_readings.value(
            connection, company_id=principal.company_id, readings=readings
        )
    if counted is None:
        raise TidemarkError(
            Kind.RATE_LIMIT_EXCEEDED,
            f"The organization may send {principal.readings_per_minute} readings a minute; send these in the next one.",
            retry_after=60 - int(time.time()) % 60,
        )
