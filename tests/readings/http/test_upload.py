"""Uploads of single readings, as the contract and the seed define them."""

from tests.conftest import Tenant


async def test_stored_reading_comes_back_as_the_seed_shows_it(tenant: Tenant) -> None:
    sensor = await tenant.sensor()
    response = await tenant.upload(sensor, "2020-10-13T14:02:39.489Z", "12.5")
    assert response.status == 201
    assert response.content_type == "application/vnd.api+json"
    document = await response.json(content_type=None)
    reading_id = document["data"].pop("id")
    assert reading_id.isdigit()
    assert document == {
        "data": {
            "type": "SensorData",
            "attributes": {"timestamp": "2020-10-13T14:02:39.489000Z", "value": "12.5"},
            "relationships": {"sensor": {"data": {"type": "Sensor", "id": sensor}}},
        }
    }
    again = await (await tenant.upload(sensor, "2020-10-13T14:02:39.489Z", 13)).json(content_type=None)
    assert again["data"]["id"] == reading_id
    fetched = await (await tenant.fetch("get_inputdata_by_inputs", input_ids=sensor)).json()
    assert fetched == [
        {
            "input": {"id": sensor, "name": sensor, "measure_unit": None},
            "inputdata": [{"timestamp": "2020-10-13T14:02:39.489000Z", "value": "13"}],
        }
    ]
