"""Sensors, assets, the organization and its tokens over HTTP, with an admin token."""

import asyncio
import re
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest
from aiohttp import ClientResponse
from tidemark.database.announcements import LOOK_SECONDS
from tidemark.database.statements import statements

from tests.conftest import MakeTenant, Service, Tenant

PATHS = ("sensors", "assets", "cooling-units", "locations", "sites", "organization", "api-tokens")


async def document(response: ClientResponse, status: int = 200) -> Any:
    """The JSON document of a response, which must have this status."""
    assert response.status == status, await response.text()
    assert response.content_type == "application/json"
    return await response.json()


async def assert_refused(response: ClientResponse, status: int, code: str, field: str | None = None) -> str:
    """Assert that a response is an error in the format of the API; returns its message."""
    answer = await document(response, status)
    assert set(answer) == {"error"}
    assert set(answer["error"]) == {"code", "message", "details"}
    assert answer["error"]["code"] == code
    assert isinstance(answer["error"]["details"], dict)
    if field is not None:
        assert answer["error"]["details"] == {"field": field}
    return str(answer["error"]["message"])


async def make(tenant: Tenant, path: str, fields: dict[str, Any]) -> Any:
    """Create something and return its document."""
    return await document(await tenant.manage("POST", path, fields), 201)


async def send(tenant: Tenant, method: str, path: str, **options: Any) -> ClientResponse:
    """Send a request with headers and body of the test's choice; returns the response after reading it."""
    async with tenant.session.request(method, f"{tenant.base}/api/v1/{path}", **options) as response:
        await response.read()
    return response


async def test_sensor_from_creation_to_deletion(tenant: Tenant) -> None:
    asset = (await make(tenant, "assets", {"name": "Cold room"}))["id"]
    fields = {
        "id": "sen-1",
        "name": "Température ❄",
        "measure_unit": "°C",
        "asset_id": asset,
        "specification_type": "TEMPERATURE",
    }
    assert await make(tenant, "sensors", fields) == fields
    assert await document(await tenant.manage("GET", "sensors/sen-1")) == fields
    changed = {**fields, "name": "Door", "asset_id": None}
    patch = {"name": "Door", "asset_id": None}
    assert await document(await tenant.manage("PATCH", "sensors/sen-1", patch)) == changed
    assert await document(await tenant.manage("GET", "sensors/sen-1/")) == changed
    assert (await tenant.manage("DELETE", "sensors/sen-1")).status == 204
    for method, body in (("GET", None), ("PATCH", {"name": "x"}), ("DELETE", None)):
        await assert_refused(await tenant.manage(method, "sensors/sen-1", body), 404, "not_found")


async def test_ids_are_made_where_none_is_given(tenant: Tenant) -> None:
    sensor = await make(tenant, "sensors", {})
    assert sensor["id"].startswith("sen")
    assert len(sensor["id"]) == 13
    assert sensor["id"].isalnum()
    assert sensor["name"] == sensor["id"]
    assert await make(tenant, "assets", {}) == {"id": 1, "name": "1", "location_id": None}
    assert (await make(tenant, "assets", {"id": 67}))["id"] == 67
    assert (await make(tenant, "assets", {"name": "next"})) == {"id": 68, "name": "next", "location_id": None}
    await make(tenant, "assets", {"id": 2**31 - 1})
    await assert_refused(await tenant.manage("POST", "assets", {}), 409, "conflict", "id")


async def test_ids_in_any_script_are_found_in_lists(tenant: Tenant) -> None:
    ids = ["می\u200cشود", "東京\u3000駅", "\u3000x\u00a0", "👩\u200d🌾", "\ufefföß\u00a0"]
    for one in ids:
        assert (await make(tenant, "sensors", {"id": one, "name": one, "specification_type": one}))["id"] == one
        assert (await document(await tenant.manage("GET", f"sensors/{one}")))["name"] == one
        assert (await tenant.upload(one, "2024-01-01T00:00:00Z", 1)).status == 201
    listed = ", ".join(ids)
    answer = await document(await tenant.manage("GET", "series", sensors=listed, start="2024-01-01", end="2024-01-01"))
    assert sorted(item["sensor_id"] for item in answer["data"]) == sorted(ids)
    latest = await document(await tenant.manage("GET", "latest", sensors=listed))
    assert len(latest["data"]) == len(ids)
    fetched = await (await tenant.fetch("get_inputdata_by_inputs", input_ids=f'"{listed}"')).json()
    assert [len(one["inputdata"]) for one in fetched] == [1] * len(ids)


async def test_id_that_exists_already_is_a_conflict(tenant: Tenant, service: Service, make_tenant: MakeTenant) -> None:
    other = await make_tenant(service)
    for path, same in (("sensors", "sen-1"), ("assets", 7)):
        await make(tenant, path, {"id": same})
        await assert_refused(await tenant.manage("POST", path, {"id": same, "name": "again"}), 409, "conflict", "id")
        await make(other, path, {"id": same})  # ids are unique within an organization
        assert (await document(await tenant.manage("GET", f"{path}/{same}")))["name"] == str(same)


async def test_cooling_units_are_assets_that_stand_at_locations(tenant: Tenant) -> None:
    location = await make(tenant, "locations", {"name": "Market"})
    assert location == {"id": 1, "name": "Market"}
    asset = await make(tenant, "assets", {"location_id": 1})
    fields = {"name": "Room", "location_id": 1, "capacity_crates": 120, "capacity_kg": 2500.5}
    unit = await make(tenant, "cooling-units", fields)
    assert unit == {"id": asset["id"] + 1, **fields}
    await assert_refused(await tenant.manage("POST", "cooling-units", {"id": asset["id"]}), 409, "conflict", "id")
    await assert_refused(await tenant.manage("GET", f"cooling-units/{asset['id']}"), 404, "not_found")
    assert [one["id"] for one in (await document(await tenant.manage("GET", "cooling-units")))["data"]] == [unit["id"]]
    assert (await document(await tenant.manage("GET", f"assets/{unit['id']}")))["name"] == "Room"
    patched = await document(await tenant.manage("PATCH", f"cooling-units/{unit['id']}", {"capacity_kg": None}))
    assert patched == {**unit, "capacity_kg": None}
    sensor = await tenant.sensor(asset_id=unit["id"])
    assert (await tenant.manage("DELETE", "locations/1")).status == 204
    assert (await document(await tenant.manage("GET", f"cooling-units/{unit['id']}")))["location_id"] is None
    assert (await tenant.manage("DELETE", f"cooling-units/{unit['id']}")).status == 204
    assert (await document(await tenant.manage("GET", f"sensors/{sensor}")))["asset_id"] is None


async def test_sites_have_ids_that_are_unique_everywhere(
    tenant: Tenant, service: Service, make_tenant: MakeTenant
) -> None:
    site = await make(tenant, "sites", {"domain": "Bücher-Faß.Example."})
    assert re.fullmatch("[0-9a-f]{24}", site["siteId"])
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", site["createdAt"])
    domain = "xn--bcher-fa-xya6z.example"
    shown = {"siteId": site["siteId"], "name": domain, "domain": domain, "timezone": "UTC", "isActive": True}
    assert site == {**shown, "createdAt": site["createdAt"]}
    changed = {"name": "Books", "timezone": "Europe/Berlin", "isActive": False}
    patched = await document(await tenant.manage("PATCH", f"sites/{site['siteId']}", changed))
    assert patched == {**site, **changed}
    other = await make_tenant(service)
    await assert_refused(await other.manage("GET", f"sites/{site['siteId']}"), 404, "not_found", "siteId")
    taken = await other.manage("POST", "sites", {"domain": "example.com", "siteId": site["siteId"]})
    await assert_refused(taken, 409, "conflict", "siteId")
    assert (await tenant.manage("DELETE", f"sites/{site['siteId']}")).status == 204


@pytest.mark.parametrize(
    ("path", "fields", "field"),
    [
        ("assets", {"location_id": 9}, "location_id"),
        ("cooling-units", {"capacity_crates": 1.5}, "capacity_crates"),
        ("cooling-units", {"capacity_kg": -1}, "capacity_kg"),
        ("cooling-units", {"location_id": 9}, "location_id"),
        ("locations", {"id": "x"}, "id"),
        ("sites", {}, "domain"),
        ("sites", {"domain": None}, "domain"),
        ("sites", {"domain": "https://example.com"}, "domain"),
        ("sites", {"domain": "example.com:80"}, "domain"),
        ("sites", {"domain": "a..b"}, "domain"),
        ("sites", {"domain": "example.com", "timezone": "Mars"}, "timezone"),
        ("sites", {"domain": "example.com", "isActive": 1}, "isActive"),
        ("sensors", {"id": ""}, "id"),
        ("sensors", {"id": "a,b"}, "id"),
        ("sensors", {"id": 'a"b'}, "id"),
        ("sensors", {"id": "a/b"}, "id"),
        ("sensors", {"id": "a\0b"}, "id"),
        ("sensors", {"id": "a\u2028b"}, "id"),
        ("sensors", {"id": " a"}, "id"),
        ("sensors", {"id": 7}, "id"),
        ("sensors", {"name": "x" * 10_000}, "name"),
        ("sensors", {"asset_id": 99}, "asset_id"),
        ("sensors", {"asset_id": "one"}, "asset_id"),
        ("sensors", {"colour": "red"}, "colour"),
        ("assets", {"id": 0}, "id"),
        ("assets", {"id": -1}, "id"),
        ("assets", {"id": 2**31}, "id"),
        ("assets", {"id": 1.5}, "id"),
        ("assets", {"id": True}, "id"),
        ("assets", {"name": ["x"]}, "name"),
        ("assets", [], "body"),
        ("assets", "text", "body"),
        ("api-tokens", {}, "scopes"),
        ("api-tokens", {"scopes": []}, "scopes"),
        ("api-tokens", {"scopes": ["root"]}, "scopes"),
        ("api-tokens", {"scopes": "admin"}, "scopes"),
        ("api-tokens", {"scopes": [["admin"]]}, "scopes"),
        ("api-tokens", {"scopes": ["admin"], "expires_at": "2001-01-01"}, "expires_at"),
        ("api-tokens", {"scopes": ["admin"], "rate_limit": 0}, "rate_limit"),
        ("api-tokens", {"scopes": ["admin"], "cooling_unit_ids": 5}, "cooling_unit_ids"),
        ("api-tokens", {"scopes": ["admin"], "token": "mine"}, "token"),
    ],
)
async def test_field_that_cannot_be_used_is_named(path: str, fields: Any, field: str, tenant: Tenant) -> None:
    before = await document(await tenant.manage("GET", path))
    await assert_refused(await tenant.manage("POST", path, fields), 400, "invalid_request", field)
    assert await document(await tenant.manage("GET", path)) == before


@pytest.mark.parametrize(
    ("path", "fields", "message"),
    [
        ("sensors", {"id": "."}, "id must not be '.', which"),
        ("sensors", {"id": ".."}, "id must not be '..', which"),
        ("api-tokens", {"scopes": ["admin"], "rate_limit": 0}, "or null (on the command line: none) for any number"),
    ],
)
async def test_the_message_says_what_would_do(path: str, fields: Any, message: str, tenant: Tenant) -> None:
    response = await tenant.manage("POST", path, fields)
    assert response.status == 400
    assert message in (await response.json())["error"]["message"]


async def test_body_that_is_no_json(tenant: Tenant) -> None:
    for body in (b"", b"{", b"\xff", b"NaN", b"[" * 50_000):
        for method, path in (("POST", "sensors"), ("PATCH", "organization")):
            headers = {**tenant.bearer, "Content-Type": "application/json"}
            await assert_refused(await send(tenant, method, path, data=body, headers=headers), 400, "invalid_request")
    headers = {**tenant.bearer, "Content-Type": "text/plain"}
    await assert_refused(
        await send(tenant, "POST", "sensors", data=b"{}", headers=headers), 415, "unsupported_media_type"
    )


async def test_lists_come_in_pages(tenant: Tenant) -> None:
    for number in range(7):
        await make(tenant, "sensors", {"id": f"s{number}", "name": "twin" if number % 3 == 0 else f"n{number}"})
    whole = await document(await tenant.manage("GET", "sensors"))
    assert [one["id"] for one in whole["data"]] == [f"s{number}" for number in range(7)]
    assert whole["meta"]["pagination"] == {
        "page": 1,
        "page_size": 100,
        "total_count": 7,
        "total_pages": 1,
        "has_next": False,
        "has_previous": False,
    }
    pages = [await document(await tenant.manage("GET", "sensors", page=page, page_size=3)) for page in (1, 2, 3, 4)]
    assert [one for page in pages for one in page["data"]] == whole["data"]
    around = [(page["meta"]["pagination"]["has_previous"], page["meta"]["pagination"]["has_next"]) for page in pages]
    assert around == [(False, True), (True, True), (True, False), (True, False)]
    twins = await document(await tenant.manage("GET", "sensors", name="twin"))
    assert [one["id"] for one in twins["data"]] == ["s0", "s3", "s6"]
    assert twins["meta"]["pagination"]["total_count"] == 3
    for unstorable in ("tw\0in", "tw\u2028in"):
        assert (await document(await tenant.manage("GET", "sensors", name=unstorable)))["data"] == []
    for parameters, field in (
        ({"page": 0}, "page"),
        ({"page": "x"}, "page"),
        ({"page": "9" * 30}, "page"),
        ({"page_size": 1001}, "page_size"),
        ({"page_size": -1}, "page_size"),
        ({"order": "id"}, "order"),
    ):
        await assert_refused(await tenant.manage("GET", "sensors", **parameters), 400, "invalid_request", field)


async def test_deleting_an_asset_leaves_its_sensors(tenant: Tenant) -> None:
    asset = await tenant.asset()
    sensor = await tenant.sensor(asset_id=asset)
    assert (await tenant.upload(sensor, "2020-01-01", 1)).status == 201
    assert (await tenant.manage("DELETE", f"assets/{asset}")).status == 204
    assert (await document(await tenant.manage("GET", f"sensors/{sensor}")))["asset_id"] is None
    assert (await tenant.fetch("get_inputdata_by_asset", asset_id=asset)).status == 404
    [found] = await (await tenant.fetch("get_inputdata_by_inputs", input_ids=sensor)).json()
    assert len(found["inputdata"]) == 1


async def test_deleting_a_sensor_deletes_its_data(tenant: Tenant) -> None:
    sensor = await tenant.sensor(id="again")
    neighbour = await tenant.sensor(id="neighbour")
    for one in (sensor, neighbour):
        for day in range(1, 4):
            assert (await tenant.upload(one, f"2020-01-0{day}", day)).status == 201
    assert (await tenant.manage("DELETE", f"sensors/{sensor}")).status == 204
    assert (await tenant.upload(sensor, "2020-01-04", 4)).status == 404
    assert (await tenant.fetch("get_inputdata_by_inputs", input_ids=sensor)).status == 404
    await make(tenant, "sensors", {"id": sensor})
    for endpoint in ("get_inputdata_by_inputs", "get_statistics_inputdata_by_inputs"):
        mine, its = await (await tenant.fetch(endpoint, input_ids=f"{sensor},{neighbour}")).json()
        assert mine["inputdata"] == []
        assert len(its["inputdata"]) == (1 if "statistics" in endpoint else 3)
    assert (await tenant.upload(sensor, "2020-01-01", 9)).status == 201
    [found] = await (await tenant.fetch("get_statistics_inputdata_by_inputs", input_ids=sensor)).json()
    assert found["inputdata"] == [{"min": "9", "max": "9", "avg": "9"}]


async def test_renamed_sensor_shows_its_new_name_at_once(tenant: Tenant) -> None:
    sensor = await tenant.sensor(name="old")
    assert (await tenant.upload(sensor, "2020-01-01", 1)).status == 201
    for name in ("new", "newer"):
        await tenant.manage("PATCH", f"sensors/{sensor}", {"name": name, "measure_unit": "K"})
        [found] = await (await tenant.fetch("get_inputdata_by_inputs", input_ids=sensor)).json()
        assert found["input"] == {"id": sensor, "name": name, "measure_unit": "K"}
    message = await assert_refused(
        await tenant.manage("PATCH", f"sensors/{sensor}", {"id": "another"}), 400, "invalid_request", "id"
    )
    assert "id" in message


async def test_organization(tenant: Tenant) -> None:
    organization = await document(await tenant.manage("GET", "organization"))
    assert organization["organization_id"] == tenant.organization_id
    assert organization["company_id"] == tenant.company_id
    assert {name: organization[name] for name in ("country", "currency", "timezone")} == {
        "country": None,
        "currency": "USD",
        "timezone": "UTC",
    }
    changes = {"name": "Ìlú Tútù", "country": "NG", "currency": "NGN", "timezone": "Africa/Lagos"}
    assert await document(await tenant.manage("PATCH", "organization", changes)) == {
        **organization,
        **changes,
    }
    assert await document(await tenant.manage("GET", "organization")) == {**organization, **changes}
    for field, value in (
        ("country", "Nigeria"),
        ("currency", "€"),
        ("timezone", "Mars/Olympus"),
        ("timezone", "../../etc/passwd"),
        ("timezone", "localtime"),
        ("name", None),
        ("company_id", 1),
        ("api_key", "mine"),
        ("sensor_limit", 10**6),
        ("sensor_limit", organization["sensor_limit"]),
        ("readings_per_minute", None),
    ):
        response = await tenant.manage("PATCH", "organization", {"name": "Mine", field: value})
        await assert_refused(response, 400, "invalid_request", field)
    assert await document(await tenant.manage("GET", "organization")) == {**organization, **changes}
    assert tenant.api_key not in str(await document(await tenant.manage("GET", "organization")))


async def test_a_change_is_answered_once_every_process_has_heard_of_it(tenant: Tenant) -> None:
    heard: asyncio.Queue[str] = asyncio.Queue()
    process, ending = await asyncpg.connect(tenant.database_url), await asyncpg.connect(tenant.database_url)
    await process.add_listener("tidemark_catalog", lambda *told: heard.put_nowait(str(told[3])))
    for one in (process, ending):
        await statements().be_waited_for.run(one)
    changing = asyncio.create_task(tenant.limit(readings_per_minute=7))
    own: list[str] = []
    # Changes to the tenants of other tests, and questions about them, arrive here too.
    while not own or own[-1].isdigit():
        own += [payload for payload in (await heard.get(),) if own or payload == str(tenant.company_id)]
    await ending.close()
    done, _ = await asyncio.wait((changing,), timeout=LOOK_SECONDS)
    assert not done, "returned before every process had heard of the change"
    await statements().answer_heard.run(process, question=own[-1])
    async with asyncio.timeout(1):
        await changing
    await process.close()


async def test_token_from_creation_to_revocation(tenant: Tenant) -> None:
    made = await make(
        tenant,
        "api-tokens",
        {"name": "Gateway", "scopes": ["admin", "ingest"], "expires_at": "2999-01-01T00:00:00Z"},
    )
    token = made.pop("token")
    UUID(made["id"])
    assert made["company_id"] == tenant.company_id
    assert (made["name"], made["scopes"], made["revoked"]) == ("Gateway", ["admin", "ingest"], False)
    assert (made["cooling_unit_ids"], made["rate_limit"], made["last_used_at"]) == ([], 100, None)
    assert made["expires_at"] == "2999-01-01T00:00:00Z"
    assert made["created_at"].endswith("Z")
    listed = (await document(await tenant.manage("GET", "api-tokens")))["data"]
    assert made in listed
    assert token not in str(listed)
    headers = {"Authorization": f"Bearer {token}"}
    for _ in range(2):
        assert (await send(tenant, "GET", "sensors", headers=headers)).status == 200
    assert (await tenant.manage("DELETE", f"api-tokens/{made['id']}")).status == 204
    await assert_refused(await send(tenant, "GET", "sensors", headers=headers), 401, "unauthorized")
    [ended] = [
        one for one in (await document(await tenant.manage("GET", "api-tokens")))["data"] if one["id"] == made["id"]
    ]
    assert ended["revoked"] is True
    for unknown in (str(uuid4()), "not-a-uuid"):
        await assert_refused(await tenant.manage("DELETE", f"api-tokens/{unknown}"), 404, "not_found")


@pytest.mark.parametrize("path", PATHS)
async def test_only_an_admin_token_opens_management(path: str, tenant: Tenant) -> None:
    fields = {"scopes": ["sensor_data", "users", "utilization", "revenue", "impact", "sites", "ingest"]}
    lesser = (await make(tenant, "api-tokens", fields))["token"]
    method = "PATCH" if path == "organization" else "POST"
    response = await send(tenant, method, path, headers={"Authorization": f"Bearer {lesser}"})
    await assert_refused(response, 403, "insufficient_scope")
    for headers in (
        {},
        tenant.keys,
        {"Authorization": ""},
        {"Authorization": "Bearer"},
        {"Authorization": "Bearer nonsense"},
        {"Authorization": f"Basic {tenant.admin_token}"},
        {"Authorization": f"Bearer {tenant.admin_token} {tenant.admin_token}"},
    ):
        await assert_refused(await send(tenant, method, path, headers=headers), 401, "unauthorized")
    twice = [("Authorization", f"Bearer {tenant.admin_token}")] * 2
    await assert_refused(await send(tenant, "GET", path, headers=twice), 401, "unauthorized")
    for name in ("token", "access_token", "api_key"):
        response = await tenant.manage("GET", path, **{name: tenant.admin_token})
        message = await assert_refused(response, 401, "unauthorized", name)
        assert tenant.admin_token not in message


@pytest.mark.parametrize("path", PATHS)
async def test_methods_that_are_not_there(path: str, tenant: Tenant) -> None:
    response = await tenant.manage("PUT", path, {})
    await assert_refused(response, 405, "method_not_allowed")
    assert "GET" in response.headers["Allow"].split(", ")
    options = await tenant.manage("OPTIONS", path)
    assert options.status in (200, 204)
    assert options.headers["Allow"] == response.headers["Allow"]
    head, get = await tenant.manage("HEAD", path), await tenant.manage("GET", path)
    assert head.status == 200
    assert head.headers["Content-Length"] == get.headers["Content-Length"]
    await assert_refused(await tenant.manage("GET", f"{path}-of-nobody"), 404, "not_found")


async def test_what_is_anothers_answers_as_what_does_not_exist(
    tenant: Tenant, service: Service, make_tenant: MakeTenant
) -> None:
    other = await make_tenant(service)
    token = await make(other, "api-tokens", {"scopes": ["admin"]})
    pairs = [
        ("sensors", await other.sensor(id="theirs"), "nobody"),
        ("assets", str(await other.asset(id=77)), "78"),
        ("api-tokens", token["id"], str(uuid4())),
    ]
    for path, foreign, unknown in pairs:
        methods: tuple[tuple[str, Any], ...] = (("GET", None), ("PATCH", {"name": "mine"}), ("DELETE", None))
        for method, body in methods[2:] if path == "api-tokens" else methods:
            answers = []
            for one in (foreign, unknown):
                response = await tenant.manage(method, f"{path}/{one}", body)
                await assert_refused(response, 404, "not_found")
                answers.append((await response.text()).replace(one, "ID"))
            assert answers[0] == answers[1]
    answers = []
    for asset in (77, 78):
        response = await tenant.manage("POST", "sensors", {"asset_id": asset})
        await assert_refused(response, 400, "invalid_request", "asset_id")
        answers.append((await response.text()).replace(str(asset), "ID"))
    assert answers[0] == answers[1]
    assert (await document(await tenant.manage("GET", "sensors")))["data"] == []
    assert (await document(await other.manage("GET", "sensors/theirs")))["name"] == "theirs"
    headers = {"Authorization": f"Bearer {token['token']}"}
    assert (await send(other, "GET", "assets/77", headers=headers)).status == 200
