"""Requests to the cold-chain API, and the data that they need."""

from collections.abc import Iterable, Mapping
from typing import Any

from aiohttp import ClientResponse

from tests.catalog.test_management import make
from tests.conftest import Tenant


async def new_token(tenant: Tenant, **fields: Any) -> dict[str, str]:
    """The headers of a new token: by default for sensor data and practically without a rate limit."""
    made = await make(tenant, "api-tokens", {"scopes": ["sensor_data"], "rate_limit": 1_000_000, **fields})
    return {"Authorization": f"Bearer {made['token']}"}


async def get(tenant: Tenant, path: str, headers: Mapping[str, str], **parameters: Any) -> ClientResponse:
    """Send a GET request; returns the response after reading it."""
    async with tenant.session.get(f"{tenant.base}/api/v1/{path}", headers=headers, params=parameters) as response:
        await response.read()
    return response


async def items(tenant: Tenant, path: str, headers: Mapping[str, str], **parameters: Any) -> list[dict[str, Any]]:
    """The items of a response that must be a success."""
    response = await get(tenant, path, headers, **parameters)
    assert response.status == 200, await response.text()
    found: list[dict[str, Any]] = (await response.json())["data"]
    return found


async def store(tenant: Tenant, readings: Iterable[tuple[str, str, float]]) -> None:
    """Store readings: sensor, timestamp, value."""
    body = [{"sensor": sensor, "timestamp": at, "value": value} for sensor, at, value in readings]
    async with tenant.session.post(f"{tenant.base}/api/v1/readings", json=body, headers=tenant.keys) as response:
        assert response.status == 200, await response.text()


async def cold_room(tenant: Tenant, unit: int = 7) -> None:
    """Create a unit with two thermometers, a hygrometer, and a sensor that does not say what it measures."""
    await make(tenant, "cooling-units", {"id": unit})
    for sensor, kind in (("t1", "TEMPERATURE"), ("t2", "TEMPERATURE"), ("h1", "HUMIDITY"), ("x1", None)):
        await tenant.sensor(id=f"{sensor}-{unit}", asset_id=unit, specification_type=kind)


def assert_about(document: Any, field: str) -> None:
    """Assert that an error names this parameter."""
    assert set(document) == {"error"}, document
    assert document["error"]["code"] == "invalid_request"
    assert document["error"]["details"] == {"field": field}
