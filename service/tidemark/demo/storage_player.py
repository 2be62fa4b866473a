"""Sends operations of cold storage to a running service over HTTP, and checks the figures that it returns."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import orjson
from aiohttp import ClientSession, ClientTimeout

from tidemark.demo import cold_storage
from tidemark.demo.cold_storage import Expected, Operation
from tidemark.demo.player import PlayError, send

OPERATION_CONNECTIONS = 2
"""One body is decoded while the other commits."""


@dataclass(frozen=True)
class StoragePlayer:
    """A client of one organization; the session has its admin token."""

    session: ClientSession
    base: str

    async def prepare(self, units: int) -> None:
        """Create the locations and cooling units that do not exist yet. Raises PlayError."""
        for number, name in enumerate(cold_storage.LOCATIONS, 1):
            await self._make("locations", {"id": number, "name": name})
        for number in range(1, units + 1):
            await self._make("cooling-units", cold_storage.unit(number))

    async def play(self, units: Iterable[Sequence[Operation]], advance: Callable[[int], object]) -> int:
        """See `play_cold_storage`."""
        return await play_cold_storage(self.session, self.base, units, advance)

    async def check(self, expected: Mapping[int, Expected]) -> list[dict[str, Any]]:
        """Compare the year of every unit, and return some figures of each. Raises PlayError if one is wrong."""
        users, utilization, revenue = [await self._figures(name) for name in ("users", "utilization", "revenue")]
        rows = []
        for number, one in expected.items():
            fees = {
                total["currency"]: (total["paid_revenue"], total["pending_revenue"])
                for total in revenue[number]["currency_totals"]
            }
            returned = (
                *(utilization[number][name] for name in _SUMS),
                users[number]["registered_users"],
                users[number]["active_users"],
                fees,
            )
            wanted = (
                *(float(getattr(one, name)) for name in _SUMS),
                len(one.registered),
                len(one.active),
                {currency: (float(fee.paid), float(fee.pending)) for currency, fee in one.fees.items()},
            )
            if returned != wanted:
                raise PlayError(
                    f"Cooling unit {number}: the service returns {returned}, but the operations give {wanted}."
                )
            rows.append(
                {
                    "cooling_unit": number,
                    "active_users": users[number]["active_users"],
                    "utilization_rate": round(utilization[number]["utilization_rate"], 1),
                    "check_ins": utilization[number]["check_ins"],
                    "revenue": ", ".join(f"{paid:.2f} {currency}" for currency, (paid, _) in sorted(fees.items())),
                }
            )
        return rows

    async def _figures(self, endpoint: str) -> dict[int, Any]:
        asked = {
            "start_date": f"{cold_storage.YEAR}-01-01",
            "end_date": f"{cold_storage.YEAR}-12-31",
            "page_size": "1000",
        }
        async with self.session.get(f"{self.base}/api/v1/analytics/{endpoint}", params=asked) as response:
            if response.status != 200:
                raise PlayError(f"{response.status}: {await response.text()}")
            return {one["cooling_unit_id"]: one for one in (await response.json())["data"]}

    async def _make(self, path: str, fields: Mapping[str, Any]) -> None:
        async with self.session.post(f"{self.base}/api/v1/{path}", json=fields) as response:
            if response.status not in (201, 409):
                raise PlayError(f"{response.status}: {await response.text()}")


_SUMS = ("check_ins", "check_outs", "crates_in", "crates_out", "kg_in", "kg_out")


@asynccontextmanager
async def storage_player(base: str, admin_token: str) -> AsyncIterator[StoragePlayer]:
    """A client with the admin token of an organization."""
    headers = {"Authorization": f"Bearer {admin_token}"}
    async with ClientSession(headers=headers, timeout=ClientTimeout(total=300)) as session:
        yield StoragePlayer(session, base)


async def play_cold_storage(
    session: ClientSession,
    base: str,
    units: Iterable[Sequence[Operation]],
    advance: Callable[[int], object] = lambda _: None,
) -> int:
    """Send operations with a session that has the credentials, those of each unit as one NDJSON body.

    `advance` is called with the number of operations in each stored body; returns their total. Raises PlayError.
    """
    waiting = iter(units)
    stored = 0

    async def connection() -> None:
        nonlocal stored
        for operations in waiting:
            body = b"\n".join(map(orjson.dumps, operations))
            headers = {"Content-Type": "application/x-ndjson"}
            await send(session, f"{base}/api/v1/operations", body, headers, success=200)
            stored += len(operations)
            advance(len(operations))

    async with asyncio.TaskGroup() as group:
        for _ in range(OPERATION_CONNECTIONS):
            group.create_task(connection())
    return stored
