"""The sensors that a bulk body names: by their ids, or by the names of series, which become sensors on first sight."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from tidemark.catalog.access import Access, Principal
from tidemark.catalog.secrets import new_sensor_id
from tidemark.database.database import Database
from tidemark.database.statements import statements

if TYPE_CHECKING:
    from tidemark.database.database import Connected


class KnownSensors:
    """Sensors by their ids; one that is unknown, or of a cooling unit that the caller may not see, is refused."""

    def __init__(self, access: Access, principal: Principal) -> None:
        self._access = access
        self._principal = principal

    async def series_ids(self, names: Sequence[str]) -> list[int | str]:
        """The series of each sensor, or why there is none. Raises TidemarkError."""
        found = await self._access.sensors(self._principal.company_id, names)
        seen = {name: sensor.series_id for name, sensor in found.items() if self._principal.sees(sensor.asset_id)}
        return [seen.get(name, f"There is no sensor {name[:100]!r}.") for name in names]


class NamedSeries:
    """Series by their names; a new one becomes a sensor, up to the organization's limit."""

    def __init__(self, access: Access, database: Database, company_id: int) -> None:
        self._access = access
        self._database = database
        self._company_id = company_id

    async def series_ids(self, names: Sequence[str]) -> list[int | str]:
        """The series of each name, or why there is none. Raises TidemarkError."""
        found = self._access.remembered_series(self._company_id, names)
        unknown = [name for name in names if name not in found]
        if unknown:
            generation = self._access.generation
            async with self._database.session() as connection, connection.transaction():
                new = await _find_or_make(connection, self._company_id, unknown)
            self._access.remember_series(self._company_id, new, generation)
            found.update(new)
        refused = "The organization has as many sensors as its limit allows; this series is new."
        return [found.get(name, refused) for name in names]


async def _find_or_make(connection: "Connected", company_id: int, names: Sequence[str]) -> dict[str, int]:
    sql = statements()
    rows = await sql.series_of_names.rows(connection, company_id=company_id, names=names)
    found = {row["name"]: row["series_id"] for row in rows}
    if len(found) < len(names):
        await sql.lock_first_sights.run(connection, company_id=company_id)
        rows = await sql.series_of_names.rows(connection, company_id=company_id, names=names)
        found = {row["name"]: row["series_id"] for row in rows}
        left = await sql.sensors_left.value(connection, company_id=company_id)
        missing = [name for name in names if name not in found][: max(0, left)]
        ids = [new_sensor_id() for _ in missing]
        made = await sql.insert_series.rows(connection, company_id=company_id, ids=ids, names=missing)
        found.update({row["name"]: row["series_id"] for row in made})
    return found
