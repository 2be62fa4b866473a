"""What dashboards may read, with a token or the organization key: lists of sensors and of where they are."""

import subprocess
import sys
from collections.abc import Mapping

import orjson
import pytest

from tests.catalog.test_management import make
from tests.coldchain.requests import get, items, new_token, store
from tests.conftest import MakeTenant, Service, Tenant

Id = int | str
EVERYTHING: dict[str, list[Id]] = {
    "sensors": ["of-7", "of-8", "of-9", "of-None"],
    "assets": [7, 8, 9],
    "cooling-units": [7, 8],
    "locations": [1, 2, 3],
}
LISTS = tuple(EVERYTHING)
DAY = {"start": "2026-01-01", "end": "2026-01-01"}
UNIT = {"cooling_unit_id": 7, "start_date": "2026-01-01", "end_date": "2026-01-01"}


@pytest.fixture
async def places(tenant: Tenant) -> None:
    """Unit 7 at location 1, unit 8 and asset 9 at location 2, nothing at location 3; a sensor for each asset, and one
    without an asset.
    """
    for location in (1, 2, 3):
        await make(tenant, "locations", {"id": location, "name": f"Place {location}"})
    await make(tenant, "cooling-units", {"id": 7, "location_id": 1})
    await make(tenant, "cooling-units", {"id": 8, "location_id": 2})
    await make(tenant, "assets", {"id": 9, "location_id": 2})
    for asset in (7, 8, 9, None):
        await tenant.sensor(id=f"of-{asset}", asset_id=asset, name="Door")


async def shown(tenant: Tenant, headers: Mapping[str, str]) -> dict[str, list[Id]]:
    """The ids in each list. Each of them, and no other, can also be read individually."""
    found = {}
    for path in LISTS:
        answer = await (await get(tenant, path, headers)).json()
        found[path] = [item["id"] for item in answer["data"]]
        assert answer["meta"]["pagination"]["total_count"] == len(found[path])
        for one in EVERYTHING[path]:
            single = await get(tenant, f"{path}/{one}", headers)
            assert single.status == (200 if one in found[path] else 404)
            if single.status == 404:
                unknown = await (await get(tenant, f"{path}/12345", headers)).text()
                assert (await single.text()).replace(str(one), "12345") == unknown, "the same as for an unknown id"
    return found


@pytest.mark.usefixtures("places")
async def test_lists_show_what_the_token_is_for(tenant: Tenant) -> None:
    assert await shown(tenant, await new_token(tenant)) == EVERYTHING
    assert await shown(tenant, tenant.keys) == EVERYTHING
    # What an admin token manages is not limited by its list of units.
    assert await shown(tenant, await new_token(tenant, scopes=["admin"], cooling_unit_ids=[7])) == EVERYTHING
    of_7 = {"sensors": ["of-7"], "assets": [7], "cooling-units": [7], "locations": [1]}
    limited = await new_token(tenant, cooling_unit_ids=[7])
    assert await shown(tenant, limited) == of_7
    of_9 = {"sensors": ["of-9"], "assets": [9], "cooling-units": [], "locations": [2]}
    assert await shown(tenant, await new_token(tenant, cooling_unit_ids=[9])) == of_9
    nothing: dict[str, list[Id]] = {path: [] for path in LISTS}
    # A list of units that were deleted, or never existed, does not mean all units.
    assert (await tenant.manage("DELETE", "cooling-units/7")).status == 204
    assert await shown(tenant, limited) == nothing
    assert await items(tenant, "latest", limited) == []
    assert await shown(tenant, await new_token(tenant, cooling_unit_ids=[77])) == nothing


@pytest.mark.usefixtures("places")
async def test_who_reads_sensor_data_changes_nothing_and_reads_nothing_else(tenant: Tenant) -> None:
    reader, wrong = await new_token(tenant), await new_token(tenant, scopes=["users", "ingest"])
    for path in LISTS:
        assert (await get(tenant, path, wrong)).status == 403
        for headers, status in ((reader, 403), (tenant.keys, 401)):
            for method, target in (("POST", path), ("PATCH", f"{path}/7"), ("DELETE", f"{path}/7")):
                async with tenant.session.request(
                    method, f"{tenant.base}/api/v1/{target}", json={}, headers=headers
                ) as response:
                    assert response.status == status, (method, target)
    for path in ("sites", "sites/1", "api-tokens", "organization"):
        assert (await get(tenant, path, reader)).status == 403
        assert (await get(tenant, path, tenant.keys)).status == 401


@pytest.mark.usefixtures("places")
async def test_the_organization_key_opens_what_sensor_data_opens(
    tenant: Tenant, service: Service, make_tenant: MakeTenant
) -> None:
    await store(tenant, [("of-7", "2026-01-01T00:00:00Z", 1)])
    other = await make_tenant(service)
    for path, asked in (("series", {"sensors": "of-7", **DAY}), ("latest", {"sensors": "of-7"}), ("sensor-data", UNIT)):
        answer = await get(tenant, path, tenant.keys, **asked)
        assert answer.status == 200, await answer.text()
        assert not [name for name in answer.headers if name.startswith("X-RateLimit")]
        assert (await get(tenant, path, {**tenant.keys, "ORGANIZATION-API-KEY": "wrong"}, **asked)).status == 401
        assert (await get(tenant, path, {"ORGANIZATION-ID": tenant.organization_id}, **asked)).status == 401
        assert (await get(tenant, path, other.keys, **asked)).status == 400, "as for an unknown sensor"
        # If both are sent, the token is used.
        both = {**tenant.keys, "Authorization": "Bearer wrong"}
        assert (await get(tenant, path, both, **asked)).status == 401
    month = {"start_date": "2026-01-01", "end_date": "2026-01-31"}
    assert (await get(tenant, "analytics/users", tenant.keys, **month)).status == 401


async def test_a_token_without_a_limit_is_not_counted(tenant: Tenant) -> None:
    token = await make(tenant, "api-tokens", {"scopes": ["admin"], "rate_limit": None})
    assert token["rate_limit"] is None
    listed = (await (await tenant.manage("GET", "api-tokens")).json())["data"]
    assert [one["rate_limit"] for one in listed] == [100, None]
    headers = {"Authorization": f"Bearer {token['token']}"}
    for path in ("latest", "analytics/nothing", "series/batch"):
        answer = await get(tenant, path, headers)
        assert answer.status in (200, 404, 405)
        assert not [name for name in answer.headers if name.startswith("X-RateLimit")]
    async with tenant.session.get(f"{tenant.base}/api/v2/sites", headers=headers) as answer:
        assert answer.status == 200
        assert "X-RateLimit-Limit" not in answer.headers
    # It is still refused once revoked.
    assert (await tenant.manage("DELETE", f"api-tokens/{token['id']}")).status == 204
    assert (await get(tenant, "latest", headers)).status == 401


def test_the_command_line_makes_tokens_without_a_limit(tenant: Tenant, service: Service) -> None:
    flag = "--rate-limit"
    for given, limit in (((flag, "none"), None), ((flag, ""), None), ((flag, "7"), 7), ((), 100)):
        command = ("token", "create", "--org", str(tenant.company_id), "--scope", "sensor_data", "--json", *given)
        done = subprocess.run(
            [sys.executable, "-m", "tidemark", *command],
            env={"PATH": "/usr/bin:/bin", **service.environment},
            capture_output=True,
            check=True,
        )
        assert orjson.loads(done.stdout)["rate_limit"] == limit
