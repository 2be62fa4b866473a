"""Every reading of an organization as of one moment, however many there are."""

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, TypeAlias

from asyncpg import Record

from tidemark.base.errors import not_found
from tidemark.base.time import Window, instant
from tidemark.database.database import Database, outages_as_unavailable
from tidemark.database.statements import statements

if TYPE_CHECKING:
    from tidemark.database.database import Connected

SensorRows: TypeAlias = tuple[str, list[Record]]
"""The id of a sensor and some of its readings."""

_ALL = 2**62


class Snapshot:
    """The readings of some sensors as of one moment."""

    def __init__(self, connection: "Connected", sensors: dict[str, int]) -> None:
        self.sensors = sensors
        """The series of each sensor, keyed by the sensor's id."""
        self._connection = connection

    async def pieces(self, window: Window) -> AsyncGenerator[SensorRows, None]:
        """The readings of each sensor in turn, in order of time and in pieces; the last piece of each sensor is empty.

        The columns of a reading are those of `tidemark.readings.raw`. Raises TidemarkError.
        """
        statement = statements().readings_by_timestamp_asc
        bounds = {"start": instant(window.start), "finish": instant(window.finish), "max_rows": _ALL}
        with outages_as_unavailable():
            for sensor, series_id in self.sensors.items():
                async for rows in statement.pieces(self._connection, series_ids=[series_id], **bounds):
                    yield sensor, rows
                yield sensor, []


@asynccontextmanager
async def snapshot(
    database: Database, company_id: int, sensor_ids: Sequence[str] | None = None
) -> AsyncIterator[Snapshot]:
    """The readings of these sensors of an organization, or of all of its sensors, as of one moment.

    Raises TidemarkError for an unknown sensor.
    """
    async with database.long_snapshot(company_id) as connection, connection.transaction():
        rows = await statements().sensors_to_export.rows(connection, company_id=company_id, ids=sensor_ids)
        sensors = {row["id"]: row["series_id"] for row in rows}
        for sensor_id in sensor_ids or ():
            if sensor_id not in sensors:
                raise not_found(f"There is no sensor {sensor_id[:100]!r}.", "sensor")
        yield Snapshot(connection, sensors)
