"""Import and export: an export is restored exactly, and an interruption at any moment does no harm."""

import asyncio
import csv
import io
import json
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import polars as pl
import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs
from tidemark.base.settings import Settings
from tidemark.base.time import Window, instant
from tidemark.catalog import resources, welcome
from tidemark.catalog.resources import SENSORS
from tidemark.cli.transfer import export_readings, import_readings
from tidemark.database.database import Database
from tidemark.database.statements import PIECE
from tidemark.readings.export import snapshot
from tidemark.readings.files.bookmark import EVERY_SECONDS
from tidemark.readings.optional_columns import OPTIONAL, JsonColumn, NumberColumn

from tests.cli.conftest import Run
from tests.conftest import Service, Tenant
from tests.readings.log_by_hand import everything

IDS = ("door 1", "ü;'\\x", "s")
NUMBERS = {column.name: column.largest for column in OPTIONAL if isinstance(column, NumberColumn)}
DOCUMENTS = [column.name for column in OPTIONAL if isinstance(column, JsonColumn)]
APPEND_WAITS = "SELECT EXISTS (SELECT FROM pg_locks WHERE relation = 'reading_log'::regclass AND NOT granted)"
SENSORS_OF = "SELECT series_id, id FROM sensor WHERE company_id = $1"


def numbers(largest: float) -> st.SearchStrategy[float]:
    """Numbers up to a size; −0 equals 0 here."""
    return st.floats(-largest, largest).map(lambda number: number + 0.0)


microsecond = st.datetimes(datetime(1970, 1, 1), datetime(2026, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001
text = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
documents = st.recursive(
    st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False) | text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text, inner, max_size=3),
    max_leaves=5,
)
records = st.fixed_dictionaries(
    {"sensor": st.sampled_from(IDS), "timestamp": microsecond.map(datetime.isoformat), "value": numbers(1e150)},
    optional={name: numbers(largest) for name, largest in NUMBERS.items()} | dict.fromkeys(DOCUMENTS, documents),
)


async def rows_of(url: str, company_id: int) -> list[tuple[Any, ...]]:
    """All readings of an organization, as stored in the database: sensor, instant, value and the optional columns."""
    connection = await asyncpg.connect(url)
    try:
        async with connection.transaction(isolation="repeatable_read"):
            ids = {row["series_id"]: row["id"] for row in await connection.fetch(SENSORS_OF, company_id)}
            found = await everything(connection, company_id)
    finally:
        await connection.close()
    rows = [
        (ids[series], instant(at), reading.value, *(getattr(reading, column.name) for column in OPTIONAL))
        for (series, at), reading in found.items()
    ]
    return sorted(rows, key=lambda row: (row[0].encode(), row[1]))


async def organization(url: str) -> int:
    """Create an organization with the sensors of the property test; returns its company id."""
    connection = await asyncpg.connect(url)
    try:
        made = await welcome.create_organization(connection, {"name": "Round trip"})
        company_id: int = made.organization["company_id"]
        for sensor in IDS:
            await resources.create(connection, SENSORS, company_id, {"id": sensor})
        return company_id
    finally:
        await connection.close()


@pytest.mark.parametrize("suffix", ["csv", "ndjson", "parquet", "csv.gz", "ndjson.zst"])
def test_what_is_exported_is_imported_exactly(service: Service, tmp_path: Path, suffix: str) -> None:
    url = service.database_url
    assert url is not None

    def run(command: Any, *arguments: str) -> Any:
        with capture_logs():  # otherwise they would go to standard output; only `main` sends them to standard error
            done = CliRunner().invoke(command, [*arguments, "--json"], obj=Settings(database_url=url))
        assert done.exit_code == 0, done.output + str(done.exception)
        return json.loads(done.stdout)

    @given(st.lists(records, max_size=60))
    @settings(max_examples=8, deadline=None, suppress_health_check=list(HealthCheck))
    def check(sent: Sequence[dict[str, Any]]) -> None:
        here, there = asyncio.run(organization(url)), asyncio.run(organization(url))
        original, exported = tmp_path / "original.ndjson", tmp_path / f"exported.{suffix}"
        original.write_text("".join(json.dumps(record) + "\n" for record in sent))
        assert run(import_readings, str(original), "--org", str(here))["accepted"] == len(sent)
        before = asyncio.run(rows_of(url, here))
        last = {(record["sensor"], datetime.fromisoformat(record["timestamp"])): record for record in sent}
        assert [row[: 3 + len(NUMBERS)] for row in before] == [
            (*key, *(record.get(name) for name in ("value", *NUMBERS)))
            for key, record in sorted(last.items(), key=lambda item: (item[0][0].encode(), item[0][1]))
        ]
        written = run(export_readings, "--org", str(here), "--output", str(exported))
        assert (written["sensors"], written["readings"]) == (len(IDS), len(last))
        for _ in range(2):
            imported = run(import_readings, str(exported), "--org", str(there))
            assert (imported["accepted"], imported["rejected"]) == (len(last), 0)
            assert asyncio.run(rows_of(url, there)) == before

    check()


def command(service: Service, *arguments: str) -> "subprocess.Popen[str]":
    """A running command."""
    return subprocess.Popen(
        [sys.executable, "-m", "tidemark", *arguments],
        env={"PATH": "/usr/bin:/bin", **service.environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
@pytest.mark.parametrize("restart", [False, True])
async def test_a_killed_import_is_taken_up_and_stores_everything_once(
    service: Service, tenant: Tenant, tidemark: Run, tmp_path: Path, suffix: str, restart: bool
) -> None:
    count = 300_000
    sensor = await tenant.sensor()
    start = datetime(2021, 1, 1, tzinfo=UTC)
    file = tmp_path / "many.csv"
    with file.open("w") as opened:
        opened.write("sensor,timestamp,value\n")
        for number in range(count):
            shown = "?" if number == 7 else number
            opened.write(f"{sensor},{(start + timedelta(seconds=number)).isoformat()},{shown}\n")
    if suffix == "parquet":
        pl.read_csv(file, infer_schema=False).write_parquet(tmp_path / "many.parquet", row_group_size=50_000)
        file = tmp_path / "many.parquet"
    connection = await asyncpg.connect(tenant.database_url)
    async with connection.transaction():  # to store them all takes less time than passes between two bookmarks
        await connection.execute("LOCK TABLE reading_log IN SHARE MODE")
        process = command(service, "import", "--org", str(tenant.company_id), str(file))
        while process.poll() is None and not await connection.fetchval(APPEND_WAITS):
            await asyncio.sleep(0.01)
        await asyncio.sleep(EVERY_SECONDS)
    marked = 0
    while not marked and process.poll() is None:
        marked = await connection.fetchval(
            "SELECT accepted + rejected FROM import_bookmark WHERE company_id = $1", tenant.company_id
        )
        await asyncio.sleep(0.01)
    process.kill()
    await asyncio.to_thread(process.communicate)
    assert process.returncode == -signal.SIGKILL, "it was over too soon; the test needs a longer file"
    assert len(await rows_of(tenant.database_url, tenant.company_id)) >= marked - 1
    options = ("--restart",) if restart else ()
    answer = await asyncio.to_thread(tidemark, "import", "--org", str(tenant.company_id), str(file), *options, code=1)
    assert (answer["accepted"], answer["rejected"]) == (count - 1, 1)
    assert [(error["index"], error["field"]) for error in answer["errors"]] == [(7, "value")]
    assert answer["continued_at"] >= marked if not restart else answer["continued_at"] == 0
    stored = await rows_of(tenant.database_url, tenant.company_id)
    assert [row[1:3] for row in stored] == [
        (start + timedelta(seconds=number), number) for number in range(count) if number != 7
    ]
    total = count * (count - 1) // 2 - 7
    fetched = await (await tenant.fetch("get_statistics_inputdata_by_inputs", input_ids=sensor)).json()
    (statistics,) = fetched[0]["inputdata"]
    assert (statistics["min"], statistics["max"]) == ("0", str(count - 1))
    assert float(statistics["avg"]) == pytest.approx(total / (count - 1), rel=1e-9)
    assert not await connection.fetchval(
        "SELECT count(*) FROM import_bookmark WHERE company_id = $1", tenant.company_id
    )
    await connection.close()


async def test_rejected_records_are_named_and_the_others_stored(tenant: Tenant, tidemark: Run, tmp_path: Path) -> None:
    sensor = await tenant.sensor()
    file = tmp_path / "some.csv"
    file.write_text(
        "value,sensor,timestamp\n"
        f"1,{sensor},2021-01-01T00:00:00Z\n"
        "1,nobody,2021-01-01T00:00:00Z\n"
        f"x,{sensor},2021-01-01T00:00:00Z\n"
        f"2,{sensor},2021-01-01T00:00:01Z\n"
    )
    arguments = ("import", "--org", str(tenant.company_id), str(file))
    answer = await asyncio.to_thread(tidemark, *arguments, code=1)
    assert {**answer, "errors": sorted((error["index"], error["field"]) for error in answer["errors"])} == {
        "accepted": 2,
        "rejected": 2,
        "errors": [(1, "sensor"), (2, "value")],
        "continued_at": 0,
    }
    shown = await asyncio.to_thread(tidemark, *arguments, code=1, json_output=False)
    assert shown == "2 readings stored.\n"
    assert len(await rows_of(tenant.database_url, tenant.company_id)) == 2
    (tmp_path / "some.txt").write_text("")
    for name in ("some.txt", "nobody.csv"):
        await asyncio.to_thread(
            tidemark, "import", str(tmp_path / name), code=2 if name == "nobody.csv" else 1, json_output=False
        )


async def test_a_file_is_read_to_its_end_however_many_rows_are_rejected(
    tenant: Tenant, tidemark: Run, tmp_path: Path
) -> None:
    sensor = await tenant.sensor()
    file = tmp_path / "gaps.csv"
    gaps = f"{sensor},2021-01-01T00:00:00Z,\n" * 11_000
    file.write_text(f"sensor,timestamp,value\n{gaps}{sensor},2021-01-01T00:00:01Z,1\n")
    answer = await asyncio.to_thread(tidemark, "import", "--org", str(tenant.company_id), str(file), code=1)
    assert (answer["accepted"], answer["rejected"]) == (1, 11_000)


async def test_an_export_takes_the_sensors_and_the_window_asked_for(
    tenant: Tenant, tidemark: Run, tmp_path: Path
) -> None:
    sensors = sorted([await tenant.sensor() for _ in range(3)])
    for sensor in sensors:
        for second in range(5):
            assert (await tenant.upload(sensor, f"2021-01-01T00:00:0{second}.5Z", second)).status == 201
    org = ("--org", str(tenant.company_id))
    window = ("--start", "2021-01-01T00:00:01.5Z", "--end", "2021-01-01T00:00:03.5Z")
    chosen = ("--sensor", sensors[2], "--sensor", sensors[0])
    printed = await asyncio.to_thread(tidemark, "export", *org, *window, *chosen, json_output=False)
    rows = list(csv.DictReader(io.StringIO(printed)))
    assert [(row["sensor"], row["timestamp"], row["value"], row["metadata"]) for row in rows] == [
        (sensor, f"2021-01-01T00:00:0{second}.500000Z", str(second), "")
        for sensor in (sensors[0], sensors[2])
        for second in (1, 2, 3)
    ]
    printed = await asyncio.to_thread(tidemark, "export", *org, *window, "--format", "ndjson", json_output=False)
    assert [json.loads(line) for line in printed.splitlines()] == [
        {"sensor": sensor, "timestamp": f"2021-01-01T00:00:0{second}.500000Z", "value": second}
        for sensor in sensors
        for second in (1, 2, 3)
    ]
    output = tmp_path / "readings.csv"
    output.write_text("as it was")
    unknown = await asyncio.to_thread(tidemark, "export", *org, "--sensor", "nobody", "--output", str(output), code=1)
    assert unknown["error"]["message"] == "There is no sensor 'nobody'."
    assert output.read_text() == "as it was"
    for code, wrong in (
        (2, ("--json",)),
        (2, ("--format", "parquet")),
        (2, ("--output", str(tmp_path / "a.txt"))),
        (1, ("--start", "yesterday")),
        (1, ("--start", "1969-12-31T23:59:59Z")),
        (1, ("--end", "9999-01-01")),
        (1, ("--start", "2021-01-02", "--end", "2021-01-01")),
        (1, ("--output", str(tmp_path / "nowhere" / "a.csv"))),
    ):
        await asyncio.to_thread(tidemark, "export", *org, *wrong, code=code, json_output=False)
    assert await asyncio.to_thread(lambda: list(tmp_path.iterdir())) == [output]


async def test_an_export_is_of_one_moment(tenant: Tenant) -> None:
    sensor, other = sorted([await tenant.sensor(), await tenant.sensor()])
    body = "".join(
        f"{name},2021-01-01T{number // 3600:02d}:{number // 60 % 60:02d}:{number % 60:02d}Z,1\n"
        for name in (sensor, other)
        for number in range(PIECE + 10)
    )
    url = f"{tenant.base}/api/v1/readings"
    headers = {**tenant.keys, "Content-Type": "text/csv"}
    async with tenant.session.post(url, data="sensor,timestamp,value\n" + body, headers=headers) as response:
        assert response.status == 200
    database = Database(tenant.database_url)
    await database.open()
    database.ready.set()
    counted = {sensor: 0, other: 0}
    async with snapshot(database, tenant.company_id) as export:
        async for name, rows in export.pieces(Window()):
            if not any(counted.values()):
                for one in (sensor, other):
                    assert (await tenant.manage("DELETE", f"sensors/{one}")).status == 204
            counted[name] += len(rows)
    await database.close()
    assert counted == {sensor: PIECE + 10, other: PIECE + 10}


@pytest.mark.parametrize("suffix", ["csv.gz", "parquet"])
async def test_an_interrupted_export_leaves_nothing_behind(
    service: Service, tenant: Tenant, tidemark: Run, tmp_path: Path, suffix: str
) -> None:
    sensor = await tenant.sensor()
    file = tmp_path / "many.csv"
    start = datetime(2021, 1, 1, tzinfo=UTC)
    lines = [f"{sensor},{(start + timedelta(seconds=number)).isoformat()},{number}\n" for number in range(200_000)]
    file.write_text("sensor,timestamp,value\n" + "".join(lines))
    await asyncio.to_thread(tidemark, "import", "--org", str(tenant.company_id), str(file))
    folder = tmp_path / "exports"
    folder.mkdir()
    process = command(service, "export", "--org", str(tenant.company_id), "--output", str(folder / f"a.{suffix}"))
    deadline = time.monotonic() + 30
    while not list(folder.iterdir()) and time.monotonic() < deadline:
        await asyncio.sleep(0.005)
    process.send_signal(signal.SIGINT)
    await asyncio.to_thread(process.communicate)
    assert process.returncode == 130
    assert list(folder.iterdir()) == []
