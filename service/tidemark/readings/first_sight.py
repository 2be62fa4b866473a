"""Finds the sensors that a bulk body names, by id or by series name; a new series name becomes a sensor."""

from collections.abc import Sequence
from itertools import repeat
from typing import TYPE_CHECKING

import numpy as np

from tidemark.catalog.directory import UNKNOWN, Directory, SeriesIds
from tidemark.catalog.principal import Principal
from tidemark.catalog.secrets import new_sensor_id
from tidemark.database.database import Database
from tidemark.database.statements import statements

if TYPE_CHECKING:
    from tidemark.database.database import Connected


class KnownSensors:
    """Finds sensors by id; rejects unknown ones, and those of a cooling unit that the caller may not see."""

    def __init__(self, directory: Directory, principal: Principal) -> None:
        self._directory = directory
        self._principal = principal

    async def series_ids(self, names: Sequence[str]) -> SeriesIds:
        """See tidemark.readings.pipeline.Resolver."""
        found = await self._directory.sensors(self._principal.company_id, names)
        seen = {name: sensor.series_id for name, sensor in found.items() if self._principal.sees(sensor.asset_id)}
        return np.fromiter(map(seen.get, names, repeat(UNKNOWN)), np.int32, len(names))

    def why_unknown(self, name: str) -> str:
        """See tidemark.readings.pipeline.Resolver."""
        return f"There is no sensor {name[:100]!r}."


NO_ROOM = "This series is new, and the organization has as many sensors as its limit allows."


class NamedSeries:
    """Finds series by name; a new name becomes a sensor, up to the organization's limit."""

    def __init__(self, directory: Directory, database: Database, company_id: int) -> None:
        self._directory = directory
        self._database = database
        self._company_id = company_id

    async def series_ids(self, names: Sequence[str]) -> SeriesIds:
        """See tidemark.readings.pipeline.Resolver."""
        found = self._directory.remembered_series(self._company_id, names)
        unknown = np.flatnonzero(found == UNKNOWN)
        if len(unknown):
            found[unknown] = await self._look_up([names[number] for number in unknown.tolist()])
        return found

    def why_unknown(self, name: str) -> str:
        """See tidemark.readings.pipeline.Resolver."""
        return NO_ROOM

    async def _look_up(self, names: Sequence[str]) -> list[int]:
        generation = self._directory.generation
        async with self._database.session() as connection, connection.transaction():
            new = await _find_or_make(connection, self._company_id, names)
        # Remembered by the very texts that come again with the next body: they are equal without a look.
        self._directory.remember_series(
            self._company_id, {name: new[name] for name in names if name in new}, generation
        )
        return [new.get(name, UNKNOWN) for name in names]

    async def without_room(self, names: Sequence[str]) -> list[str]:
        """The names for which the limit has no room; creates nothing. Raises TidemarkError."""
        unknown = self._unknown(names)
        if not unknown:
            return []
        async with self._database.session() as connection:
            _, refused = await _fitting(connection, self._company_id, unknown)
        return refused

    async def make_all(self, names: Sequence[str]) -> list[str]:
        """Create all missing sensors, or none if the limit lacks room; returns the names without room.

        Raises TidemarkError.
        """
        unknown = self._unknown(names)
        if not unknown:
            return []
        async with self._database.session() as connection, connection.transaction():
            await statements().lock_first_sights.run(connection, company_id=self._company_id)
            missing, refused = await _fitting(connection, self._company_id, unknown)
            if not refused:
                await _make(connection, self._company_id, missing)
        return refused

    def _unknown(self, names: Sequence[str]) -> list[str]:
        found = self._directory.remembered_series(self._company_id, names)
        return [names[number] for number in np.flatnonzero(found == UNKNOWN).tolist()]


async def _find_or_make(connection: "Connected", company_id: int, names: Sequence[str]) -> dict[str, int]:
    found = await _found(connection, company_id, names)
    if len(found) < len(names):
        await statements().lock_first_sights.run(connection, company_id=company_id)
        fitting, _ = await _fitting(connection, company_id, [name for name in names if name not in found])
        made = await _make(connection, company_id, fitting)
        found = await _found(connection, company_id, names) | made
    return found


async def _found(connection: "Connected", company_id: int, names: Sequence[str]) -> dict[str, int]:
    rows = await statements().series_of_names.rows(connection, company_id=company_id, names=names)
    return {row["name"]: row["series_id"] for row in rows}


async def _fitting(connection: "Connected", company_id: int, names: Sequence[str]) -> tuple[list[str], list[str]]:
    """The names without a sensor: those for which the limit has room, and the others."""
    found = await _found(connection, company_id, names)
    missing = [name for name in names if name not in found]
    left = max(0, await statements().sensors_left.value(connection, company_id=company_id))
    return missing[:left], missing[left:]


async def _make(connection: "Connected", company_id: int, names: Sequence[str]) -> dict[str, int]:
    ids = [new_sensor_id() for _ in names]
    rows = await statements().insert_series.rows(connection, company_id=company_id, ids=ids, names=names)
    return {row["name"]: row["series_id"] for row in rows}
