"""Whatever instants a request names, from the year 1 to the year 9999, it is answered or refused, never a 500."""

import random
from datetime import datetime, timedelta
from typing import Any

import pytest

from tests.coldchain.requests import assert_about, get, new_token, store
from tests.conftest import Tenant

EDGES = (
    "0001-01-01T00:00:00+23:59",
    "1969-12-31T23:59:59.999999Z",
    "1970-01-01T00:00:00Z",
    "1970-01-01T00:00:00+00:01",
    "1970-01-01T23:59:59.999999-23:59",
    "9998-12-31T23:59:59.999999Z",
    "9998-12-31T23:59:59.999999-00:01",
    "9999-01-01T00:00:00Z",
    "9999-12-31T00:00:00Z",
    "9999-12-31T23:00:00Z",
    "9999-12-31T23:59:59.999999Z",
    "9999-12-31T23:59:59.999999-23:59",
)
YEAR_1 = datetime(1, 1, 1)  # noqa: DTZ001 - offsets are added as text
BUCKETS = ("raw", "hourly", "daily", "auto")
ZONES = ("UTC", "Pacific/Kiritimati", "Pacific/Niue", "Asia/Kathmandu")


def instants(rng: random.Random) -> tuple[str, str]:
    """Two instants in any order: at the edges, near each other, or anywhere."""
    first = rng.choice(EDGES)
    seconds = (datetime.fromisoformat(first[:19]) - YEAR_1).total_seconds()
    seconds += rng.choice((-1, 0, 1)) * rng.randrange(10 ** rng.randrange(1, 11))
    near = YEAR_1 + timedelta(seconds=abs(seconds) % 315_000_000_000)
    second = rng.choice((first, rng.choice(EDGES), f"{near.isoformat()}{rng.choice(('Z', '-14:00', '+23:59'))}"))
    return first, second


async def test_no_instant_gives_a_500(tenant: Tenant) -> None:
    await tenant.sensor(id="s")
    await store(tenant, [("s", "1970-01-01T00:00:00Z", 1), ("s", "2026-01-01T00:00:00Z", 2)])
    token = await new_token(tenant)
    seed = random.randrange(2**32)
    print("seed", seed)
    rng = random.Random(seed)
    answered = set()
    for _ in range(100):
        start, end = instants(rng)
        asked: dict[str, Any] = {"aggregation": rng.choice(BUCKETS), "timezone": rng.choice(ZONES)}
        if asked["aggregation"] != "raw":
            asked["fill"] = rng.choice(("none", "null", "previous", "linear"))
        window = {"timeperiod_start": start, "timeperiod_finish": end}
        for response in (
            await get(tenant, "series", token, sensors="s", start=start, end=end, **asked),
            await tenant.fetch("get_inputdata_by_inputs", input_ids="s", **window),
            await tenant.fetch("get_statistics_inputdata_by_inputs", input_ids="s", **window),
            await tenant.manage("DELETE", "readings", sensor="s", start=start, end=end),
        ):
            assert response.status in (200, 400), (start, end, asked, await response.text())
            answered.add((response.url.path, response.status))
    assert len(answered) == 8, "each of them answers some and refuses some"


@pytest.mark.parametrize("edge", EDGES)
async def test_instants_have_the_same_bounds_as_dates(edge: str, tenant: Tenant) -> None:
    await tenant.sensor(id="s")
    token = await new_token(tenant)
    inside = edge in (*EDGES[2:3], *EDGES[4:6])
    for name, other in (("start", {"end": "9998-12-31"}), ("end", {"start": "1970-01-01"})):
        response = await get(tenant, "series", token, **{"sensors": "s", name: edge, **other})
        document = await response.json()
        if inside:
            assert response.status == 200 or document["error"]["details"] == {"field": "end"}, "too long a window"
        else:
            assert response.status == 400
            assert_about(document, name)
            assert "1970 to 9998" in document["error"]["message"]
    deleted = await tenant.manage("DELETE", "readings", sensor="s", start=edge, end=edge)
    assert deleted.status == (200 if inside else 400)


async def test_the_sensor_api_treats_extreme_instants_as_open_ends(tenant: Tenant) -> None:
    sensor = await tenant.sensor()
    assert (await tenant.upload(sensor, "2026-01-01T00:00:00Z", 1)).status == 201
    for start in ("0001-01-01T00:00:00+23:59", "1969-12-31 23:59:59"):
        for finish in ("9999-01-01", "9999-12-31T23:59:59.999999-23:59"):
            window = {"timeperiod_start": start, "timeperiod_finish": finish}
            [found] = await (await tenant.fetch("get_inputdata_by_inputs", input_ids=sensor, **window)).json()
            assert [record["value"] for record in found["inputdata"]] == ["1"]
