"""Other projects' programs, as their users run them: InfluxDB's Python client, Prometheus, curl, collectd."""

import asyncio
import gzip
import json
import math
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from influxdb_client.client.influxdb_client import InfluxDBClient
from influxdb_client.client.write.point import Point
from influxdb_client.client.write_api import SYNCHRONOUS, WriteOptions
from influxdb_client.domain.write_precision import WritePrecision
from influxdb_client.rest import ApiException
from tidemark.base.values import format_instant, format_number
from tidemark.readings.wire.series_names import series_name

from tests.conftest import Tenant, free_port

DEADLINE_SECONDS = 60
START = datetime(2024, 2, 29, 23, 59, 58, 123_456, tzinfo=UTC)


def program(name: str) -> str:
    """The path of a program; without it the test is skipped."""
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is NOT INSTALLED on this machine: what it sends was not tested")
    return found


async def ingest_token(tenant: Tenant) -> str:
    """A token such as senders have."""
    made = await (await tenant.manage("POST", "api-tokens", {"scopes": ["ingest"]})).json()
    return str(made["token"])


async def every_reading(tenant: Tenant) -> dict[str, list[tuple[str, str]]]:
    """The timestamps and values of each series, by name, from the sensor API."""
    page = await (await tenant.manage("GET", "sensors", page_size="1000")).json()
    sensors = page["data"]
    assert len(sensors) == page["meta"]["pagination"]["total_count"], "the test reads one page only"
    if not sensors:
        return {}
    ids = ",".join(one["id"] for one in sensors)
    answer = await (await tenant.fetch("get_inputdata_by_inputs", input_ids=ids, limit=1_000_000)).json()
    return {
        sensor["name"]: [(record["timestamp"], record["value"]) for record in each["inputdata"]]
        for sensor, each in zip(sensors, answer, strict=True)
    }


UNITS = {WritePrecision.NS: 1, WritePrecision.US: 1, WritePrecision.MS: 1_000, WritePrecision.S: 1_000_000}
VALUES = (0.1 + 0.2, 1e22, -2.5e-9, 12.0, 1 / 3)


@pytest.mark.parametrize("precision", UNITS)
async def test_influxdbs_client_writes_points(tenant: Tenant, precision: str) -> None:
    token = await ingest_token(tenant)

    def write() -> None:
        with InfluxDBClient(tenant.base, token, org="any") as client:
            assert client.ping()
            assert client.version()
            api = client.write_api(write_options=SYNCHRONOUS)
            for number, value in enumerate(VALUES):
                moment = START + timedelta(seconds=number)
                point = (
                    Point("air, outside").tag("place", "a=b c").field("t", value).field("n", number).field("ok", True)
                )
                for _ in range(2):
                    api.write(bucket="any", record=point.time(moment, precision))

    await asyncio.to_thread(write)
    at = [int((START + timedelta(seconds=number)).timestamp() * 1_000_000 + 0.5) for number in range(len(VALUES))]
    stamps = [format_instant(one - one % UNITS[precision]) for one in at]
    labels = [("place", "a=b c")]
    assert await every_reading(tenant) == {
        series_name("air, outside", "t", labels): list(zip(stamps, map(format_number, VALUES), strict=True)),
        series_name("air, outside", "n", labels): list(zip(stamps, map(str, range(len(VALUES))), strict=True)),
        series_name("air, outside", "ok", labels): [(stamp, "1") for stamp in stamps],
    }


async def test_influxdbs_client_writes_batches(tenant: Tenant) -> None:
    token = await ingest_token(tenant)
    count = 5_000
    failed: list[Any] = []

    def write() -> None:
        options = WriteOptions(batch_size=700, flush_interval=100)
        with (
            InfluxDBClient(tenant.base, token, org="any", enable_gzip=True) as client,
            client.write_api(write_options=options, error_callback=lambda *what: failed.append(what)) as api,
        ):
            for number in range(count):
                moment = START + timedelta(milliseconds=number)
                api.write("any", record=Point("m").tag("of", number % 3).field("v", number / 8).time(moment))

    await asyncio.to_thread(write)
    assert failed == []
    found = await every_reading(tenant)
    assert sorted(found) == [f"m.v{{of={one}}}" for one in range(3)]
    for one in range(3):
        assert [float(value) * 8 for _, value in found[f"m.v{{of={one}}}"]] == list(range(one, count, 3))


async def test_influxdbs_client_finds_what_it_looks_for_first(tenant: Tenant) -> None:
    token = await ingest_token(tenant)

    def look() -> None:
        with InfluxDBClient(tenant.base, token, org="Test") as client:
            ready = client.ready()
            assert ready.status == "ready"
            assert ready.started < datetime.now(UTC)
            (organization,) = client.organizations_api().find_organizations(org="Test")
            assert client.organizations_api().find_organization(organization.id).name == "Test"
            buckets = client.buckets_api()
            assert buckets.find_bucket_by_name("greenhouse") is None
            made = buckets.create_bucket(bucket_name="greenhouse", org="Test")
            found = buckets.find_bucket_by_name("greenhouse")
            assert (found.id, found.org_id) == (made.id, organization.id)
            assert buckets.find_bucket_by_id(found.id).name == "greenhouse"
            for number in range(30):
                buckets.create_bucket(bucket_name=f"b{number:02}", org="Test")
            names = [bucket.name for bucket in buckets.find_buckets_iter(limit=7)]
            assert names == ["tidemark", *(f"b{number:02}" for number in range(30)), "greenhouse"]
            with pytest.raises(ApiException, match="organization not found"):
                client.organizations_api().find_organizations(org="another")

    await asyncio.to_thread(look)


async def test_influxdbs_client_understands_refusals(tenant: Tenant) -> None:
    token = await ingest_token(tenant)

    def status(key: str, line: str) -> tuple[int, str]:
        with InfluxDBClient(tenant.base, key, org="any") as client:
            with pytest.raises(ApiException) as raised:
                client.write_api(write_options=SYNCHRONOUS).write("any", record=line)
            return raised.value.status, str(raised.value.message)

    refused, message = await asyncio.to_thread(status, token, 'm v="text"')
    assert refused == 400
    assert message.startswith("partial write: line 1: ")
    assert (await asyncio.to_thread(status, "wrong", "m v=1"))[0] == 401


@contextmanager
def prometheus(folder: Path, remote_write: dict[str, Any]) -> Iterator[str]:
    """A Prometheus that scrapes itself five times a second and sends its samples; yields its URL."""
    binary = program("prometheus")
    port = free_port()
    scraped = {"job_name": "itself", "static_configs": [{"targets": [f"127.0.0.1:{port}"]}]}
    configuration = {
        "global": {"scrape_interval": "200ms", "scrape_timeout": "200ms"},
        "scrape_configs": [scraped],
        "remote_write": [{**remote_write, "queue_config": {"batch_send_deadline": "200ms"}}],
    }
    (folder / "prometheus.yml").write_text(json.dumps(configuration))  # which is YAML too
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(
            [
                binary,
                f"--config.file={folder / 'prometheus.yml'}",
                f"--storage.tsdb.path={folder / 'data'}",
                f"--web.listen-address=127.0.0.1:{port}",
            ],
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(15)


Samples = dict[str, dict[str, float]]


async def scraped_samples(tenant: Tenant, base: str, selector: str) -> Samples:
    """The finite raw samples of each series in Prometheus' last ten minutes, by instant; none while it starts."""
    try:
        async with tenant.session.get(f"{base}/api/v1/query", params={"query": f"{selector}[10m]"}) as response:
            if response.status != 200:
                return {}
            result = (await response.json())["data"]["result"]
    except OSError:
        return {}
    found: Samples = {}
    for series in result:
        labels = series["metric"]
        name = series_name(None, labels.pop("__name__"), labels.items())
        samples = {format_instant(round(at * 1000) * 1000): float(value) for at, value in series["values"]}
        found[name] = {at: value for at, value in samples.items() if math.isfinite(value)}
    return {name: samples for name, samples in found.items() if samples}


@pytest.mark.parametrize("scheme", ["bearer", "basic"])
async def test_prometheus_neither_loses_nor_duplicates_samples(tenant: Tenant, tmp_path: Path, scheme: str) -> None:
    token = await ingest_token(tenant)
    credentials: dict[str, Any] = (
        {"authorization": {"credentials": token}}
        if scheme == "bearer"
        else {"basic_auth": {"username": "prometheus", "password": token}}
    )
    deadline = time.monotonic() + DEADLINE_SECONDS
    with prometheus(tmp_path, {"url": f"{tenant.base}/api/v1/write", **credentials}) as base:
        up: dict[str, float] = {}
        while len(up) < 15:
            assert time.monotonic() < deadline, (tmp_path / "log").read_text()
            await asyncio.sleep(0.1)
            up = next(iter((await scraped_samples(tenant, base, "up")).values()), {})
        last = max(up)  # all samples of a scrape become visible together

        def until_last(samples: Samples) -> Samples:
            return {
                name: until
                for name, found in samples.items()
                if (until := {at: value for at, value in found.items() if at <= last})
            }

        expected = until_last(await scraped_samples(tenant, base, '{__name__=~".+"}'))
        assert len(expected) > 100
        while True:
            pairs = await every_reading(tenant)
            assert all(earlier[0] < later[0] for found in pairs.values() for earlier, later in pairwise(found))
            stored = {name: {at: float(value) for at, value in found} for name, found in pairs.items()}
            if all(expected[name].keys() <= stored.get(name, {}).keys() for name in expected):
                break
            assert time.monotonic() < deadline, (tmp_path / "log").read_text()
            await asyncio.sleep(0.2)
        assert until_last(stored) == expected


@pytest.mark.parametrize("how", [["-T", "-", "-X", "POST"], ["--data-binary", "@-"]], ids=["chunked", "whole"])
async def test_curl_streams_a_large_file(tenant: Tenant, tmp_path: Path, how: list[str]) -> None:
    curl = program("curl")
    sensor = await tenant.sensor()
    count = 200_000
    start = datetime(2022, 5, 1, tzinfo=UTC)
    lines = "".join(
        f'{{"sensor":"{sensor}","timestamp":"{(start + timedelta(seconds=number)).isoformat()}","value":{number}}}\n'
        for number in range(count)
    )
    file = tmp_path / "readings.ndjson.gz"
    file.write_bytes(gzip.compress(lines.encode(), 1))
    headers = {**tenant.keys, "Content-Type": "application/x-ndjson", "Content-Encoding": "gzip"}
    options = [part for name, value in headers.items() for part in ("-H", f"{name}: {value}")]

    def send() -> Any:
        with file.open("rb") as body:
            done = subprocess.run(
                [curl, "-sS", "--fail-with-body", *options, *how, f"{tenant.base}/api/v1/readings"],
                stdin=body,
                capture_output=True,
                check=True,
            )
        return json.loads(done.stdout)

    assert await asyncio.to_thread(send) == {"accepted": count, "rejected": 0, "errors": []}
    (found,) = (await every_reading(tenant)).values()
    assert [float(value) for _, value in found] == list(range(count))


COLLECTD = """
Interval 0.5
BaseDir "{folder}"
PIDFile "{folder}/pid"
Hostname "greenhouse"
FQDNLookup false
TypesDB "/usr/share/collectd/types.db"
LoadPlugin logfile
LoadPlugin load
LoadPlugin memory
LoadPlugin interface
LoadPlugin csv
LoadPlugin write_http
<Plugin logfile>
  LogLevel info
  File "{folder}/log"
</Plugin>
<Plugin csv>
  DataDir "{folder}/csv"
</Plugin>
<Plugin write_http>
  <Node "tidemark">
    URL "{base}/api/v1/collectd"
    {credentials}
    Format "JSON"
    StoreRates true
    LogHttpError true
  </Node>
</Plugin>
"""


@contextmanager
def collectd(folder: Path, base: str, credentials: str) -> Iterator[None]:
    """A collectd that reads twice a second, and sends what it still has when it stops."""
    binary = program("collectd")
    configuration = folder / "collectd.conf"
    configuration.write_text(COLLECTD.format(folder=folder, base=base, credentials=credentials))
    process = subprocess.Popen([binary, "-f", "-C", str(configuration)])
    try:
        yield
    finally:
        process.terminate()
        process.wait(15)


def lines_of_load(folder: Path) -> int:
    """How many lines collectd's csv plugin has written about the load."""
    return sum(file.read_text().count("\n") for file in folder.glob("csv/greenhouse/load/*"))


def kept_by_collectd(folder: Path) -> dict[str, dict[str, float]]:
    """What collectd's own csv plugin has written for plugins without instances: of each series, by instant."""
    found: dict[str, dict[str, float]] = {}
    for file in folder.glob("csv/greenhouse/*/*"):
        kind, _, instance = file.name[: -len("-2026-01-01")].partition("-")
        labels = {"host": "greenhouse", "type": kind, **({"type_instance": instance} if instance else {})}
        header, *rows = file.read_text().splitlines()
        for row in rows:
            epoch, *values = row.split(",")
            at = format_instant(round(float(epoch) * 1000) * 1000)
            for source, value in zip(header.split(",")[1:], values, strict=True):
                found.setdefault(series_name(file.parent.name, source, labels.items()), {})[at] = float(value)
    return found


@pytest.mark.parametrize("how", ["user", "header"])
async def test_collectd_sends_what_it_writes_to_its_own_files(tenant: Tenant, tmp_path: Path, how: str) -> None:
    token = await ingest_token(tenant)
    credentials = f'User "any"\nPassword "{token}"' if how == "user" else f'Header "Authorization: Bearer {token}"'
    deadline = time.monotonic() + DEADLINE_SECONDS
    with collectd(tmp_path, tenant.base, credentials):
        while lines_of_load(tmp_path) < 4:
            assert time.monotonic() < deadline, (tmp_path / "log").read_text()
            await asyncio.sleep(0.1)
    assert "HTTP Error" not in (tmp_path / "log").read_text()
    stored = {name: {at: float(value) for at, value in found} for name, found in (await every_reading(tenant)).items()}
    kept = {name: found for name, found in kept_by_collectd(tmp_path).items() if name.startswith(("load.", "memory."))}
    assert len(kept) > 3
    for name, found in kept.items():
        # Its files have six decimals, what it sends has fifteen digits.
        assert {at: round(value, 6) for at, value in stored[name].items()} == found
