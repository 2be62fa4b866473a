"""Finding sensors and web sites by their ids."""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import repeat
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt

from tidemark.base.values import storable
from tidemark.catalog.memory import ByKey, ByOrganization, Memory
from tidemark.database.database import Database
from tidemark.database.statements import statements

SeriesIds = npt.NDArray[np.int32]

UNKNOWN = -1
"""Stands for the id of a series that is not known, or does not exist."""


@dataclass(frozen=True, slots=True)
class Sensor:
    """A sensor as the hot paths need it."""

    series_id: int
    id: str
    name: str
    measure_unit: str | None
    asset_id: int | None


@dataclass(frozen=True, slots=True)
class Site:
    """A web site as the hot paths need it."""

    site_number: int
    company_id: int
    id: str
    domain: str
    zone: ZoneInfo
    is_active: bool


class Directory:
    """Finds the sensors and sites of organizations."""

    def __init__(self, database: Database, memory: Memory) -> None:
        self._database = database
        self._memory = memory
        self._sensors: ByOrganization[str, Sensor] = ByOrganization(memory, _bytes_of)
        self._series: ByOrganization[str, int] = ByOrganization(memory)
        self._sites: ByKey[str, Site] = ByKey(memory)

    def remembered_sensor(self, company_id: int, sensor_id: str) -> Sensor | None:
        """The organization's sensor with this id, if it is remembered."""
        return self._sensors.of(company_id).get(sensor_id)

    async def sensors(self, company_id: int, sensor_ids: Sequence[str]) -> dict[str, Sensor]:
        """Those of the organization's sensors that exist, by their ids."""
        remembered = map(self._sensors.of(company_id).get, sensor_ids)
        found = {one: sensor for one, sensor in zip(sensor_ids, remembered, strict=True) if sensor is not None}
        if unknown := [storable(one) for one in sensor_ids if one not in found]:
            generation = self._memory.generation
            async with self._database.snapshot() as connection:
                rows = await statements().sensors_of_ids.rows(connection, company_id=company_id, ids=unknown)
            looked_up = {row["id"]: Sensor(**row) for row in rows}
            self._sensors.remember(company_id, looked_up, generation)
            found |= looked_up
        return found

    async def sensors_of_asset(self, company_id: int, asset_id: int) -> list[Sensor]:
        """The asset's sensors, by id."""
        async with self._database.snapshot() as connection:
            rows = await statements().sensors_of_asset.rows(connection, company_id=company_id, asset_id=asset_id)
        return [Sensor(**row) for row in rows]

    @property
    def generation(self) -> int:
        """What `remember_series` wants to know: taken before the series are looked up."""
        return self._memory.generation

    def remembered_series(self, company_id: int, names: Sequence[str]) -> SeriesIds:
        """The organization's series of each name, `UNKNOWN` for those that are not remembered."""
        series = self._series.of(company_id)
        return np.fromiter(map(series.get, names, repeat(UNKNOWN)), np.int32, len(names))

    def remember_series(self, company_id: int, series: Mapping[str, int], generation: int) -> None:
        """Remember series that were looked up since a generation."""
        self._series.remember(company_id, series, generation)

    async def site(self, site_id: str) -> Site | None:
        """The site with this id, whosever it is."""
        site = self._sites.get(site_id)
        if site is None:
            generation = self._memory.generation
            async with self._database.snapshot() as connection:
                row = await statements().site_of_id.row(connection, site_id=storable(site_id))
            if row is None:
                return None
            site = Site(
                row["site_number"],
                row["company_id"],
                row["site_id"],
                row["domain"],
                ZoneInfo(row["timezone"]),
                row["is_active"],
            )
            self._sites.remember(site.company_id, site.id, site, generation)
        return site


def _bytes_of(sensor: Sensor) -> int:
    texts = (sensor.name, sensor.measure_unit)  # the id is the key
    return sum(map(sys.getsizeof, (sensor, sensor.series_id, sensor.asset_id, *texts)))
