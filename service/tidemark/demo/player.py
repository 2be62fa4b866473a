"""Sends observations to a running service over HTTP and reads statistics back, as any client would."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from aiohttp import ClientError, ClientSession, ClientTimeout, TCPConnector

from tidemark.base.values import format_instant, format_number, parse_instant
from tidemark.demo.weather import MEASURES, STATIONS, Observation, sensor_id

CONNECTIONS = 64
ATTEMPTS = 8


class PlayError(Exception):
    """The service refused a request, could not be reached, or returned wrong figures."""


@dataclass(frozen=True)
class Player:
    """A client of one organization."""

    session: ClientSession
    base: str
    keys: Mapping[str, str]
    bearer: Mapping[str, str]

    async def prepare(self, stations: Sequence[str]) -> dict[str, int]:
        """Create missing assets for the stations, and missing sensors; returns the id of each station's asset."""
        assets: dict[str, int] = {}
        for station in stations:
            name = f"{STATIONS[station]} ({station})"
            found = await self._manage("GET", "assets", name=name)
            asset = found["data"][0] if found["data"] else await self._manage("POST", "assets", {"name": name})
            assets[station] = asset["id"]
            known = {one["id"] for one in (await self._manage("GET", "sensors", page_size="1000"))["data"]}
            for measure, (title, unit) in MEASURES.items():
                if sensor_id(station, measure) not in known:
                    await self._manage(
                        "POST",
                        "sensors",
                        {
                            "id": sensor_id(station, measure),
                            "name": f"{title}, {STATIONS[station]}",
                            "measure_unit": unit,
                            "asset_id": asset["id"],
                            "specification_type": measure.upper(),
                        },
                    )
        return assets

    async def play(self, observations: Sequence[Observation], advance: Callable[[int], object]) -> None:
        """Send each observation as a separate upload, and call `advance(1)` once it is acknowledged. Raises
        PlayError.
        """
        waiting = iter(observations)

        async def connection() -> None:
            for one in waiting:
                await self._upload(one)
                advance(1)

        async with asyncio.TaskGroup() as group:
            for _ in range(CONNECTIONS):
                group.create_task(connection())

    async def statistics(self, station: str, asset: int, measure: str, month: str) -> tuple[float, float, float]:
        """Minimum, maximum and mean of a UTC month (`2013-01`), as the service returns them. Raises PlayError."""
        year, number = map(int, month.split("-"))
        following = f"{year + number // 12}-{number % 12 + 1:02d}"
        parameters = {
            "asset_id": str(asset),
            "input_ids": sensor_id(station, measure),
            "timeperiod_start": f"{month}-01 00:00:00",
            "timeperiod_finish": _last_before(f"{following}-01"),
        }
        url = f"{self.base}/api/external/v1/get_statistics_inputdata_by_asset/"
        async with self.session.get(url, params=parameters, headers=self.keys) as response:
            if response.status != 200:
                raise PlayError(f"{response.status}: {await response.text()}")
            found = (await response.json())["inputs"][0]["inputdata"][0]
        return float(found["min"]), float(found["max"]), float(found["avg"])

    async def _upload(self, one: Observation) -> None:
        body = (
            f'{{"data":{{"type":"SensorData","id":"null","attributes":{{"value":"{format_number(one.value)}",'
            f'"timestamp":"{format_instant(one.at)}"}},"relationships":{{"sensor":{{"data":{{"type":"Sensor",'
            f'"id":"{one.sensor}"}}}}}}}}}}'
        )
        url = f"{self.base}/api/external/v1/inputs/{one.sensor}/inputdata/"
        await send(self.session, url, body.encode(), self.keys, success=201)

    async def _manage(self, method: str, path: str, document: object = None, **parameters: str) -> Any:
        url = f"{self.base}/api/v1/{path}"
        async with self.session.request(method, url, json=document, params=parameters, headers=self.bearer) as response:
            if response.status not in (200, 201):
                raise PlayError(f"{response.status}: {await response.text()}")
            return await response.json()


@asynccontextmanager
async def player(base: str, organization_id: str, api_key: str, admin_token: str) -> AsyncIterator[Player]:
    """A client with the credentials of an organization."""
    keys = {
        "ORGANIZATION-ID": organization_id,
        "ORGANIZATION-API-KEY": api_key,
        "Content-Type": "application/vnd.api+json",
    }
    connector = TCPConnector(limit=CONNECTIONS)
    async with ClientSession(connector=connector, timeout=ClientTimeout(total=60)) as session:
        yield Player(session, base, keys, {"Authorization": f"Bearer {admin_token}"})


async def send(session: ClientSession, url: str, body: bytes, headers: Mapping[str, str], *, success: int) -> None:
    """Send a body, and repeat it until it is accepted, which is harmless: its records only replace themselves.

    Raises PlayError if it is refused, or still not accepted after all attempts.
    """
    for attempt in range(1, ATTEMPTS + 1):
        try:
            async with session.post(url, data=body, headers=headers) as response:
                if response.status == success:
                    await response.read()
                    return
                if response.status != 503 or attempt == ATTEMPTS:
                    raise PlayError(f"{response.status}: {await response.text()}")
        except (ClientError, TimeoutError) as error:
            if attempt == ATTEMPTS:
                raise PlayError(f"The service cannot be reached: {error}.") from None
        await asyncio.sleep(attempt / 4)


def _last_before(day: str) -> str:
    # Both ends of a window are inclusive, and instants have microseconds.
    return format_instant(parse_instant(day) - 1)
