"""The examples of the cold-chain seed, run as printed.

`seed/` contains them verbatim, except that the indentation, which the text of the seed has lost, is restored. They read
the base URL and the token from the environment, as the seed says, and the ids that they use are created first. If a
snippet only defines a function, a call of the function is appended.
"""

import asyncio
import json
import os
import re
import shutil
import sys
from asyncio.subprocess import PIPE
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from tests.conftest import Tenant

SEED = Path(__file__).parent / "seed"
SCOPES = ["sensor_data", "users", "utilization", "revenue", "impact"]
LANGUAGES = {"shell": ("bash", "sh"), "python": (sys.executable, "py"), "javascript": ("node", "mjs")}
ANALYTICS = ("users", "utilization", "revenue", "impact")
UNIT = 123
LOCATION = 45
MOVED = {"user_id": "a", "cooling_unit_id": UNIT, "crop": "kale", "occurred_at": "2026-01-01T08:00:00Z"}
FEE = {"currency": "USD", "payment_status": "paid", "payment_method": "UPI"}
OPERATIONS: list[dict[str, Any]] = [
    {"type": "user_registered", **MOVED, "gender": "female", "user_type": "FARMER"},
    {"type": "check_in", **MOVED, "crates": 8, "weight_kg": 400},
    {"type": "check_out", **MOVED, "crates": 2, "weight_kg": 100, "amount": 10.1, **FEE},
    {"type": "check_out", **MOVED, "crates": 1, "weight_kg": 50, "amount": 20.2, **FEE},
    {"type": "market_survey", **MOVED, "price_per_kg": 250, "loss_kg": 30, "currency": "USD"},
    {
        "type": "baseline_survey",
        **MOVED,
        "quantity_kg": 116.67,
        "quantity_below_market_price_kg": 16.67,
        "price_per_kg": 100,
        "currency": "USD",
    },
]
PRINTED = {
    "users": r"registered_users\W+1\b",
    "utilization": r"123 50(\.0)?\n",
    "revenue": r"123 USD 30\.3\n",
    "impact": r"123 -8\.567755\d* 18000(\.0)?\n",
}


async def make_token(tenant: Tenant, **fields: Any) -> str:
    """A token of the tenant."""
    response = await tenant.manage("POST", "api-tokens", {"scopes": SCOPES, **fields})
    assert response.status == 201, await response.text()
    return str((await response.json())["token"])


@pytest.fixture
async def token(tenant: Tenant) -> str:
    """A token for everything, and what the examples refer to: a location, a unit with two sensors, some operations."""
    for path, fields in (
        ("locations", {"id": LOCATION}),
        ("cooling-units", {"id": UNIT, "location_id": LOCATION, "capacity_crates": 10}),
        ("sensors", {"id": "t", "asset_id": UNIT, "specification_type": "TEMPERATURE"}),
        ("sensors", {"id": "h", "asset_id": UNIT, "specification_type": "HUMIDITY"}),
    ):
        assert (await tenant.manage("POST", path, fields)).status == 201
    readings = [
        {"sensor": sensor, "timestamp": f"2026-01-{day:02d}T10:{minute}:00Z", "value": value + minute}
        for sensor, value in (("t", 0.5), ("h", 60.5))
        for day in range(1, 32)
        for minute in (10, 20)
    ]
    readings.append({"sensor": "t", "timestamp": "2026-02-01T00:00:00Z", "value": 99})
    async with tenant.session.post(f"{tenant.base}/api/v1/readings", json=readings, headers=tenant.keys) as response:
        assert response.status == 200
    operations = [{"id": str(number), **operation} for number, operation in enumerate(OPERATIONS)]
    stored = await tenant.manage("POST", "operations", operations)
    assert stored.status == 200, await stored.text()
    return await make_token(tenant)


def environment(tenant: Tenant, token: str) -> dict[str, str]:
    """The environment variables that the seed tells its readers to set."""
    return {"COLDTIVATE_API_BASE_URL": f"{tenant.base}/api/v1", "COLDTIVATE_API_TOKEN": token}


async def start(
    name: str, language: str, folder: Path, variables: Mapping[str, str], then: str = "", **changes: str
) -> asyncio.subprocess.Process:
    """Start an example, followed by a call of the function that it defines."""
    program, ending = LANGUAGES[language]
    for needed in (program, "curl") if language == "shell" else (program,):
        if shutil.which(needed) is None:
            pytest.skip(f"{needed} is NOT INSTALLED: the seed's {language} example {name} was not run")
    text = (SEED / f"{name}.{language}").read_text()
    for printed, changed in changes.items():
        assert printed in text
        text = text.replace(printed, changed)
    source = folder / f"{name}.{ending}"
    source.write_text(text + then)
    path = {"PATH": os.environ["PATH"]}
    return await asyncio.create_subprocess_exec(
        program, str(source), env={**path, **variables}, stdin=PIPE, stdout=PIPE, stderr=PIPE
    )


async def run(
    name: str, language: str, folder: Path, variables: Mapping[str, str], then: str = "", **changes: str
) -> str:
    """Run an example, which must succeed; returns what it prints."""
    process = await start(name, language, folder, variables, then, **changes)
    printed, complaints = await process.communicate()
    assert process.returncode == 0, complaints.decode()
    return printed.decode()


def test_every_example_is_here() -> None:
    both, all_three = ("python", "javascript"), tuple(LANGUAGES)
    expected = {f"{name}.{language}" for name in (*ANALYTICS, "sensor_data") for language in all_three}
    expected |= {f"{name}.{language}" for name in ("pagination", "error_handling", "backoff") for language in both}
    expected |= {"first_request.shell", "verification.shell"}
    assert {path.name for path in SEED.iterdir()} == expected


def hours() -> list[tuple[str, str, float, int]]:
    """What the sensor data example returns: one hour per day for both types, over the whole window."""
    return [
        (f"2026-01-{day:02d}T10:00:00.000000Z", one, value, 2)
        for day in range(1, 32)
        for one, value in (("HUMIDITY", 75.5), ("TEMPERATURE", 15.5))
    ]


@pytest.mark.parametrize("language", LANGUAGES)
async def test_sensor_data(language: str, tenant: Tenant, token: str, tmp_path: Path) -> None:
    printed = await run("sensor_data", language, tmp_path, environment(tenant, token))
    if language == "shell":
        document = json.loads(printed)
        found = [
            (item["timestamp"], item["specification_type"], item["value"], item["sample_count"])
            for item in document["data"]
        ]
        assert document["meta"] == {
            "company_id": tenant.company_id,
            "filters": {
                "cooling_unit_id": UNIT,
                "specification_type": "TEMPERATURE,HUMIDITY",
                "start_date": "2026-01-01",
                "end_date": "2026-01-31",
                "aggregation": "hourly",
            },
            "pagination": {
                "page": 1,
                "page_size": 100,
                "total_count": 62,
                "total_pages": 1,
                "has_next": False,
                "has_previous": False,
            },
        }
    else:
        lines = [line.split() for line in printed.splitlines()]
        found = [(at, one, float(value), int(count)) for at, one, value, count in lines]
    assert found == hours()


@pytest.mark.parametrize("language", ["python", "javascript"])
async def test_pagination_fetches_every_page(language: str, tenant: Tenant, token: str, tmp_path: Path) -> None:
    quoted = {
        "python": ('"period": "day"', '"cooling_unit_id": "123"'),
        "javascript": ('period: "day"', "cooling_unit_id: 123"),
    }
    changes = {"/analytics/utilization": "/sensor-data", quoted[language][0]: quoted[language][1]}
    printed = await run("pagination", language, tmp_path, environment(tenant, token), **changes)
    assert printed == "Fetched 124 utilization records\n"


ERRORS = {
    "python": """
import os
url = os.environ["COLDTIVATE_API_BASE_URL"] + "/sensor-data?" + os.environ["QUERY"]
token = os.environ["COLDTIVATE_API_TOKEN"]
time.sleep = lambda seconds: print("slept", seconds)
try:
    print(raise_or_backoff(requests.get(url, headers={"Authorization": f"Bearer {token}"})))
except RuntimeError as error:
    print(error)
""",
    "javascript": """
const url = `${process.env.COLDTIVATE_API_BASE_URL}/sensor-data?${process.env.QUERY}`;
sleep = async (milliseconds) => console.log("slept", milliseconds / 1000);
try {
  const headers = { Authorization: `Bearer ${process.env.COLDTIVATE_API_TOKEN}` };
  console.log(await handleAnalyticsError(await fetch(url, { headers })));
} catch (error) {
  console.log(error.message);
}
""",
}
QUERY = f"cooling_unit_id={UNIT}&start_date=2026-01-01&end_date=2026-01-31"


@pytest.mark.parametrize("language", ERRORS)
async def test_error_handling(language: str, tenant: Tenant, token: str, tmp_path: Path) -> None:
    async def handled(given: str, query: str = QUERY) -> str:
        variables = {**environment(tenant, given), "QUERY": query}
        return (await run("error_handling", language, tmp_path, variables, ERRORS[language])).strip()

    assert await handled(token) == "ok"
    assert await handled("ctv_live_example_token") == "Analytics token is missing, invalid, expired, or revoked."
    assert (
        await handled(await make_token(tenant, scopes=["users"]))
        == "Analytics token does not include the required scope."
    )
    refused = await handled(token, QUERY.replace("2026-01-31", "yesterday"))
    error = json.loads(refused.removeprefix("Invalid analytics request: "))["error"]
    assert (error["code"], error["details"]) == ("invalid_request", {"field": "end_date"})
    once = await make_token(tenant, rate_limit=1)
    for _ in range(3):  # a minute may end between the two requests
        answers = [await handled(once), await handled(once)]
        if answers[1] != "ok":
            break
    slept, answer = re.fullmatch(r"slept (\d+)\n(\w+)", answers[1]).groups()  # type: ignore[union-attr]
    assert 1 <= int(slept) <= 60
    assert answer == "retry"


BACKOFF = {
    "python": """
import os, sys

def sleep(seconds):
    print("sleeping", seconds, flush=True)
    sys.stdin.readline()

time.sleep = sleep
url, token = os.environ["COLDTIVATE_API_BASE_URL"] + "/sensor-data", os.environ["COLDTIVATE_API_TOKEN"]
params = {"cooling_unit_id": 123, "start_date": "2026-01-01", "end_date": "2026-01-31"}
for _ in range(2):
    answer = analytics_get(url, {"Authorization": f"Bearer {token}"}, params)
    print(answer.status_code, len(answer.json()["data"]), flush=True)
""",
    "javascript": """
sleep = (milliseconds) => {
  console.log("sleeping", milliseconds / 1000);
  return new Promise((resolve) => process.stdin.once("data", resolve));
};
const params = "cooling_unit_id=123&start_date=2026-01-01&end_date=2026-01-31";
const url = `${process.env.COLDTIVATE_API_BASE_URL}/sensor-data?${params}`;
const headers = { Authorization: `Bearer ${process.env.COLDTIVATE_API_TOKEN}` };
for (let i = 0; i < 2; i += 1) {
  const answer = await analyticsGet(url, { headers });
  console.log(answer.status, (await answer.json()).data.length);
}
process.exit(0);
""",
}


@pytest.mark.parametrize("language", BACKOFF)
async def test_backoff(language: str, tenant: Tenant, token: str, tmp_path: Path) -> None:
    once = await make_token(tenant, rate_limit=1)
    process = await start("backoff", language, tmp_path, environment(tenant, once), BACKOFF[language])
    assert process.stdout is not None
    assert process.stdin is not None
    connection = await asyncpg.connect(tenant.database_url)
    printed = []
    while line := (await process.stdout.readline()).decode():
        printed.append(line.split())
        if printed[-1][0] == "sleeping":
            assert 1 <= float(printed[-1][1]) < 62
            # What it waits for: the end of the minute.
            await connection.execute(
                "UPDATE token_usage SET minute = minute - interval '1 minute' WHERE token_id = "
                "(SELECT id FROM api_token WHERE company_id = $1 AND rate_limit = 1)",
                tenant.company_id,
            )
            process.stdin.write(b"\n")
    await connection.close()
    assert await process.wait() == 0
    assert [line for line in printed if line[0] != "sleeping"] == [["200", "100"], ["200", "100"]]


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("name", ANALYTICS)
async def test_analytics(name: str, language: str, tenant: Tenant, token: str, tmp_path: Path) -> None:
    printed = await run(name, language, tmp_path, environment(tenant, token))
    if language == "shell":
        document = json.loads(printed)
        assert [unit["cooling_unit_id"] for unit in document["data"]] == [UNIT]
        assert document["meta"]["company_id"] == tenant.company_id
        assert document["meta"]["filters"]["start_date"] == "2026-01-01"
        assert document["meta"]["pagination"]["total_count"] == 1
    else:
        assert re.search(PRINTED[name], printed), printed


async def test_first_request(tenant: Tenant, token: str, tmp_path: Path) -> None:
    document = json.loads(await run("first_request", "shell", tmp_path, environment(tenant, token)))
    assert document["meta"]["filters"] == {"start_date": "2026-01-01", "end_date": "2026-01-31", "period": "week"}


@pytest.mark.parametrize("language", ["python", "javascript"])
async def test_pagination_of_analytics(language: str, tenant: Tenant, token: str, tmp_path: Path) -> None:
    assert await run("pagination", language, tmp_path, environment(tenant, token)) == "Fetched 1 utilization records\n"


async def test_verification(tenant: Tenant, token: str, tmp_path: Path) -> None:
    printed = await run("verification", "shell", tmp_path, environment(tenant, token))
    statuses = re.findall(r"HTTP/1\.1 (\d+)", printed)  # bodies do not end with a newline
    assert statuses == ["200"] * 5
    for header in ("Limit", "Remaining", "Reset"):
        assert len(re.findall(rf"^X-RateLimit-{header}: \d+", printed, re.MULTILINE)) == 5
