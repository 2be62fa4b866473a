"""The shapes of error documents on the sensor API and on InfluxDB's endpoints."""

from typing import Any

from tidemark.base.errors import Kind, TidemarkError
from tidemark.http.errors import ErrorShape

_INFLUX_CODES = {Kind.INVALID_REQUEST: "invalid", Kind.INTERNAL: "internal error"}


def _json_api(error: TidemarkError) -> dict[str, Any]:
    status = error.kind.status
    return {
        "errors": [
            {
                "status": str(status.value),
                "title": status.phrase,
                "detail": error.message,
                "source": _source(error.field),
            }
        ]
    }


def _source(field: str | None) -> dict[str, str]:
    """The source of the error: a part of the body, a header or a parameter."""
    if field is None:
        return {}
    if field == "" or field.startswith("/"):
        return {"pointer": field}
    return {"header" if field[0].isupper() else "parameter": field}


def _influx_1(error: TidemarkError) -> dict[str, Any]:
    return {"error": error.message}


def _influx_2(error: TidemarkError) -> dict[str, Any]:
    code = _INFLUX_CODES.get(error.kind, error.kind.status.phrase.lower())
    return {"code": code, "message": error.message}


SENSOR_ERRORS = ErrorShape(_json_api, "application/vnd.api+json")
"""JSON:API error objects (https://jsonapi.org/format/1.1/#error-objects)."""
INFLUX_1_ERRORS = ErrorShape(_influx_1)
"""`{"error": message}`, as in InfluxDB 1 and 3."""
INFLUX_2_ERRORS = ErrorShape(_influx_2)
"""`{"code", "message"}` with the error codes of InfluxDB 2."""
