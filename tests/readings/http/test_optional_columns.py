"""Every optional column that is defined comes back unchanged from every format it can be sent in."""

import csv
import io
import json
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import pytest
from tidemark.base.values import format_number
from tidemark.readings.optional_columns import OPTIONAL, NumberColumn, OptionalColumn

from tests.conftest import Tenant
from tests.readings.http.test_bulk_readings import as_json, as_ndjson, send

Record = dict[str, Any]
DOCUMENT = {"nested": [1, None, 'ü, "quoted"\n\'']}


def examples(column: OptionalColumn) -> Sequence[Any]:
    """Values that are easily lost: the largest ones, and those that are false in Python."""
    if isinstance(column, NumberColumn):
        return [0.1, -0.0, 0, column.largest, -column.largest]
    return [DOCUMENT, 0, False, "", [], "null"]


def records(sensor: str) -> list[Record]:
    """Readings with one optional column each, then one with all of them and one with none."""
    alone = [{column.name: value} for column in OPTIONAL for value in examples(column)]
    together = {column.name: examples(column)[0] for column in OPTIONAL}
    return [
        {"sensor": sensor, "timestamp": f"2020-01-01T00:00:{second:02d}Z", "value": 1.5, **optional}
        for second, optional in enumerate([*alone, together, {}])
    ]


def as_fetched(record: Record) -> Record:
    """A record as the sensor API shows it with all columns."""
    shown: Record = {"timestamp": f"{record['timestamp'][:-1]}.000000Z", "value": "1.5"}
    for column in OPTIONAL:
        value = record.get(column.name)
        if isinstance(column, NumberColumn) and value is not None:
            value = format_number(float(value))
        shown[column.name] = value
    return shown


def as_csv(sent: Sequence[Record]) -> bytes:
    """A header row with all columns, then one row for each record."""
    documents = {column.name for column in OPTIONAL if not isinstance(column, NumberColumn)}
    text = io.StringIO()
    rows = csv.DictWriter(text, ["sensor", "timestamp", "value", *(column.name for column in OPTIONAL)])
    rows.writeheader()
    for record in sent:
        rows.writerow({name: json.dumps(cell) if name in documents else cell for name, cell in record.items()})
    return text.getvalue().encode()


async def in_bulk(tenant: Tenant, body: bytes, media_type: str) -> None:
    assert (await send(tenant, body, media_type)).status == 200


async def one_by_one(tenant: Tenant, sent: Sequence[Record]) -> None:
    """Upload each record; the response repeats what was sent."""
    for record in sent:
        response = await tenant.upload(**record)
        assert response.status == 201
        expected = {name: value for name, value in as_fetched(record).items() if value is not None}
        assert (await response.json())["data"]["attributes"] == expected


WAYS_IN: dict[str, Callable[[Tenant, Sequence[Record]], Awaitable[None]]] = {
    "JSON": lambda tenant, sent: in_bulk(tenant, as_json(sent), "application/json"),
    "NDJSON": lambda tenant, sent: in_bulk(tenant, as_ndjson(sent), "application/x-ndjson"),
    "CSV": lambda tenant, sent: in_bulk(tenant, as_csv(sent), "text/csv"),
    "uploads": one_by_one,
}


@pytest.mark.parametrize("way_in", WAYS_IN)
async def test_every_optional_column_is_fetched_as_it_was_sent(tenant: Tenant, way_in: str) -> None:
    sensor = await tenant.sensor()
    sent = records(sensor)
    await WAYS_IN[way_in](tenant, sent)
    expected = [as_fetched(record) for record in sent]
    everything = {column.parameter: "true" for column in OPTIONAL}
    [found] = await (await tenant.fetch("get_inputdata_by_inputs", input_ids=sensor, **everything)).json()
    assert found["inputdata"] == expected
    for parameter in everything:
        names = ["timestamp", "value", *(column.name for column in OPTIONAL if column.parameter == parameter)]
        [found] = await (await tenant.fetch("get_inputdata_by_inputs", input_ids=sensor, **{parameter: "true"})).json()
        assert found["inputdata"] == [{name: record[name] for name in names} for record in expected]
