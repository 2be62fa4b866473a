"""The uploads of the load: one reading each, as a hundred live gateways would send them.

Upload number n is a reading of sensor n modulo SENSORS, taken n times STEP after the start of the run. `gateways.lua`
builds the same requests for wrk.
"""

from datetime import UTC, datetime
from functools import lru_cache
from typing import NamedTuple

SENSORS = 100
STEP = 10
"""Microseconds between two uploads. Below 100,000 uploads per second, no reading is in the future."""


class Credentials(NamedTuple):
    """The credentials that an organization's gateways send."""

    organization_id: str
    api_key: str


SENSOR_ID = "bench{:05d}"


def sensor_id(number: int) -> str:
    """The id of one of the sensors."""
    return SENSOR_ID.format(number)


def upload(credentials: Credentials, start: int, number: int) -> bytes:
    """The HTTP request of an upload; `start` is when its run began, in microseconds since 1970 UTC."""
    sensor = sensor_id(number % SENSORS)
    second, microsecond = divmod(start + number * STEP, 1_000_000)
    body = (
        f'{{"data":{{"type":"SensorData","id":"null","attributes":{{"value":"{20 + number % 1000 / 100:.2f}",'
        f'"timestamp":"{_second(second)}.{microsecond:06d}Z","latitude":"51.509865","longitude":"-0.118092"}},'
        f'"relationships":{{"sensor":{{"data":{{"type":"Sensor","id":"{sensor}"}}}}}}}}}}'
    )
    return (
        f"POST /api/external/v1/inputs/{sensor}/inputdata/ HTTP/1.1\r\nHost: 127.0.0.1\r\n"
        f"Content-Type: application/vnd.api+json\r\nORGANIZATION-ID: {credentials.organization_id}\r\n"
        f"ORGANIZATION-API-KEY: {credentials.api_key}\r\nContent-Length: {len(body)}\r\n\r\n{body}"
    ).encode()


def line_upload(start: int, number: int) -> bytes:
    """The same reading as line protocol, for databases that take no other form."""
    body = (
        f"bench,sensor={number % SENSORS:05d} value={20 + number % 1000 / 100:.2f} {(start + number * STEP) * 1000}\n"
    )
    return f"POST /write?db=bench HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode()


@lru_cache(maxsize=4)
def _second(second: int) -> str:
    return datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%S")
