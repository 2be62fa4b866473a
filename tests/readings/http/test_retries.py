"""Retries are safe and order does not matter: sensor and instant identify a reading, and the last write wins."""

import asyncio
import json
import random
from datetime import UTC, datetime, timedelta
from itertools import product
from typing import Any

from tests.coldchain.requests import store
from tests.conftest import Tenant, ago, upload_body
from tests.http.wire import connected, read_answer, request, upload_path


async def records(tenant: Tenant, sensor: str) -> list[tuple[str, float]]:
    """All readings of a sensor, the oldest first."""
    response = await tenant.fetch("get_inputdata_by_inputs", input_ids=sensor, limit=100_000)
    [found] = await response.json()
    return [(record["timestamp"], float(record["value"])) for record in found["inputdata"]]


async def assert_statistics(tenant: Tenant, sensor: str, values: list[float], **bounds: str) -> None:
    """Assert that the statistics are exactly those of these values."""
    response = await tenant.fetch("get_statistics_inputdata_by_inputs", input_ids=sensor, **bounds)
    [found] = (await response.json())[0]["inputdata"]
    assert (float(found["min"]), float(found["max"])) == (min(values), max(values))
    mean_size = sum(map(abs, values)) / len(values)
    assert abs(float(found["avg"]) - sum(values) / len(values)) <= 1e-9 * mean_size


def body_of(sensor: str, timestamp: str, value: float) -> bytes:
    """The body of an upload."""
    return json.dumps(upload_body(sensor, timestamp, value)).encode()


async def upload(tenant: Tenant, sensor: str, timestamp: str, value: float | str, **attributes: Any) -> str:
    """Store a reading. Returns its id."""
    response = await tenant.upload(sensor, timestamp, value, **attributes)
    assert response.status == 201, await response.text()
    return str((await response.json(content_type=None))["data"]["id"])


async def test_same_reading_many_times_at_once_is_stored_once(tenant: Tenant) -> None:
    sensor = await tenant.sensor()
    stamps = [f"2020-01-01T00:00:0{second}Z" for second in range(3)]
    uploads = [(stamp, value) for stamp in stamps for value in range(30)]
    ids = await asyncio.gather(*(upload(tenant, sensor, stamp, value) for stamp, value in uploads))
    assert len(set(ids)) == len(stamps)
    assert len({(stamp, one) for (stamp, _), one in zip(uploads, ids, strict=True)}) == len(stamps)
    stored = await records(tenant, sensor)
    assert [stamp for stamp, _ in stored] == [stamp.replace("Z", ".000000Z") for stamp in stamps]
    await assert_statistics(tenant, sensor, [value for _, value in stored])


async def test_last_acknowledged_write_wins_across_connections(tenant: Tenant) -> None:
    sensor = await tenant.sensor()
    for value in range(20):
        headers = {"Connection": "close"} if value % 2 else {}
        async with connected(tenant.base) as (reader, writer):
            body = body_of(sensor, "2020-01-01T00:00:00Z", value)
            writer.write(request(tenant, upload_path(sensor), body, headers))
            assert (await read_answer(reader)).status == 201
        assert await records(tenant, sensor) == [("2020-01-01T00:00:00.000000Z", value)]
        await assert_statistics(tenant, sensor, [value])


async def test_later_of_two_on_one_connection_wins(tenant: Tenant) -> None:
    sensor = await tenant.sensor()
    path = upload_path(sensor)
    bodies = [body_of(sensor, "2020-01-01T00:00:00Z", value) for value in range(100)]
    async with connected(tenant.base) as (reader, writer):
        writer.write(b"".join(request(tenant, path, body) for body in bodies))
        assert {(await read_answer(reader)).status for _ in bodies} == {201}
    assert await records(tenant, sensor) == [("2020-01-01T00:00:00.000000Z", 99)]


async def test_overwriting_replaces_the_whole_reading(tenant: Tenant) -> None:
    sensor = await tenant.sensor()
    first = await upload(tenant, sensor, "2020-01-01T00:00:00Z", 1, latitude=1, longitude=2, metadata={"a": 1})
    assert await upload(tenant, sensor, "2020-01-01T01:00:00+01:00", 2, x_axis_value=3) == first
    flags = dict.fromkeys(("is_add_lat_long", "is_add_x_axis_data", "is_add_metadata"), "true")
    [found] = await (await tenant.fetch("get_inputdata_by_inputs", input_ids=sensor, **flags)).json()
    absent = {"latitude": None, "longitude": None, "metadata": None}
    assert found["inputdata"] == [
        {"timestamp": "2020-01-01T00:00:00.000000Z", "value": "2", "x_axis_value": "3", **absent}
    ]


async def test_zero_and_minus_zero_overwrite_each_other(tenant: Tenant) -> None:
    sensor, stamp = await tenant.sensor(), "2020-01-01T00:00:00Z"
    for in_bulk, value in product((True, False, True), ("0", "-0", "0")):
        if in_bulk:
            await store(tenant, [(sensor, stamp, float(value))])
        else:
            await upload(tenant, sensor, stamp, value)
        [found] = await (await tenant.fetch("get_inputdata_by_inputs", input_ids=sensor)).json()
        assert [record["value"] for record in found["inputdata"]] == [value]
        await assert_statistics(tenant, sensor, [0])


async def test_microseconds_are_readings_of_their_own_and_nanoseconds_are_not(tenant: Tenant) -> None:
    sensor = await tenant.sensor()
    ids = [
        await upload(tenant, sensor, f"2020-01-01T00:00:00.{fraction}Z", value)
        for value, fraction in enumerate(("000001", "000002", "0000029"))
    ]
    assert ids[0] != ids[1] == ids[2]
    assert [value for _, value in await records(tenant, sensor)] == [0, 2]


async def test_two_sensors_at_one_instant_are_two_readings(tenant: Tenant) -> None:
    one, two = await tenant.sensor(), await tenant.sensor()
    first, second = await asyncio.gather(
        upload(tenant, one, "2020-01-01T00:00:00Z", 1), upload(tenant, two, "2020-01-01T00:00:00Z", 2)
    )
    assert first != second
    assert [value for _, value in await records(tenant, one) + await records(tenant, two)] == [1, 2]


async def test_years_in_any_order_all_come_back_exactly_once(tenant: Tenant) -> None:
    sensor = await tenant.sensor()
    rng = random.Random(2024)
    tomorrow = datetime.now(UTC) + timedelta(hours=23)
    instants = [datetime(1970, 1, 1, tzinfo=UTC), tomorrow]
    instants += [datetime(year, 12, 31, 23, 59, 59, 999999, UTC) for year in range(1970, tomorrow.year)]
    instants += [datetime(2020, 2, 29, hour, tzinfo=UTC) for hour in range(24)]
    readings = {instant.isoformat(timespec="microseconds"): rng.gauss(0, 1e3) for instant in instants}
    # Most are sent again with another value, as by a gateway that lost the responses.
    first = list(readings.items())
    again = [(stamp, value + 1) for stamp, value in rng.sample(first, len(first) * 2 // 3)]
    for sent in (first, again):
        rng.shuffle(sent)
        await asyncio.gather(*(upload(tenant, sensor, stamp, value) for stamp, value in sent))
        readings.update(sent)
        stored = await records(tenant, sensor)
        assert stored == [(stamp.replace("+00:00", "Z"), readings[stamp]) for stamp in sorted(readings)]
        await assert_statistics(tenant, sensor, list(readings.values()))
        leap_day = [value for stamp, value in readings.items() if stamp.startswith("2020-02-29")]
        bounds = {"timeperiod_start": "2020-02-29 00:00:00", "timeperiod_finish": "2020-02-29 23:59:59"}
        await assert_statistics(tenant, sensor, leap_day, **bounds)


async def test_statistics_are_exact_right_after_each_write(tenant: Tenant) -> None:
    sensor = await tenant.sensor()
    rng = random.Random(8)
    readings: dict[str, float] = {}
    stamps = [ago(minutes=minute) for minute in (0, 1, 61, 90)] + [ago(days=day) for day in (1, 2, 30, 365, 4000)]
    for _ in range(40):
        stamp = rng.choice(stamps)
        readings[stamp] = round(rng.uniform(-100, 100), 3)
        await upload(tenant, sensor, stamp, readings[stamp])
        await assert_statistics(tenant, sensor, list(readings.values()))
        recent = [value for stamp, value in readings.items() if stamp > ago(days=3)]
        if recent:
            await assert_statistics(tenant, sensor, recent, timeperiod_last="3_days")
