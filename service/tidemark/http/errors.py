"""Errors as each surface shows them."""

import json
from typing import Any, Protocol

import orjson
from aiohttp import hdrs, web

from tidemark.base.errors import Kind, TidemarkError


class ErrorShape(Protocol):
    """How a surface writes an error: its media type and its document."""

    content_type: str
    challenge: str | None
    """What a 401 says of the credentials that are wanted."""

    def document(self, error: TidemarkError) -> dict[str, Any]:
        """The body of the answer."""


class SensorErrors:
    """JSON:API error objects, of the sensor API."""

    content_type = "application/vnd.api+json"
    challenge: str | None = 'OrganizationKey realm="tidemark"'

    def document(self, error: TidemarkError) -> dict[str, Any]:
        """One error object; `source` says where the fault stood: in the body, a header or a parameter."""
        source: dict[str, str] = {}
        if error.field is not None:
            if error.field == "" or error.field.startswith("/"):
                source = {"pointer": error.field}
            elif error.field[0].isupper():
                source = {"header": error.field}
            else:
                source = {"parameter": error.field}
        status = error.kind.status
        return {
            "errors": [
                {
                    "status": str(status.value),
                    "title": status.phrase,
                    "detail": error.message,
                    "source": source,
                }
            ]
        }


class PlatformErrors:
    """`{"error": {code, message, details}}`, of everything under /api/v1."""

    content_type = "application/json"
    challenge: str | None = 'Bearer realm="tidemark"'

    def document(self, error: TidemarkError) -> dict[str, Any]:
        """The error's code and message, and the field at fault as a detail."""
        details = {} if error.field is None else {"field": error.field}
        return {"error": {"code": error.kind.code, "message": error.message, "details": details}}


class IngestionErrors(PlatformErrors):
    """The same where senders authenticate with Basic too, and some do so only when they are asked to."""

    challenge: str | None = 'Bearer realm="tidemark", Basic realm="tidemark"'


class InfluxV1Errors:
    """`{"error": message}`, of InfluxDB 1's write endpoint."""

    content_type = "application/json"
    challenge: str | None = 'Basic realm="tidemark"'

    def document(self, error: TidemarkError) -> dict[str, Any]:
        """The message alone."""
        return {"error": error.message}


class InfluxV3Errors(InfluxV1Errors):
    """The same, of InfluxDB 3's write endpoint."""

    challenge: str | None = 'Bearer realm="tidemark"'


class InfluxV2Errors:
    """`{"code", "message"}`, of InfluxDB 2's endpoints."""

    content_type = "application/json"
    challenge: str | None = 'Token realm="tidemark"'

    def document(self, error: TidemarkError) -> dict[str, Any]:
        """InfluxDB's own names for what went wrong, and the message."""
        code = _INFLUX_CODES.get(error.kind, error.kind.status.phrase.lower())
        return {"code": code, "message": error.message}


_INFLUX_CODES = {Kind.INVALID_REQUEST: "invalid", Kind.INTERNAL: "internal error"}


class WebErrors:
    """`{"error": message}`, of the web analytics API."""

    content_type = "application/json"
    challenge: str | None = 'Bearer realm="tidemark"'

    def document(self, error: TidemarkError) -> dict[str, Any]:
        """The message alone; that of a 401 is always the same."""
        unauthorized = error.kind is Kind.UNAUTHORIZED
        return {"error": "Unauthorized — provide a valid API key" if unauthorized else error.message}


_SHAPES: tuple[tuple[str, ErrorShape], ...] = (
    ("/api/external/v1", SensorErrors()),
    *((f"/api/v1/{path}", IngestionErrors()) for path in ("readings", "operations", "write", "collectd")),
    *((f"/api/v2/{path}", InfluxV2Errors()) for path in ("write", "buckets", "orgs")),
    ("/api/v3/write_lp", InfluxV3Errors()),
    ("/api/v2", WebErrors()),
    ("/write", InfluxV1Errors()),
    ("/query", InfluxV1Errors()),
)
_OTHERS = PlatformErrors()


def shape_of(path: str) -> ErrorShape:
    """The error shape of the surface that a path belongs to."""
    return next((shape for prefix, shape in _SHAPES if f"{path}/".startswith(f"{prefix}/")), _OTHERS)


NO_SNIFFING = {"X-Content-Type-Options": "nosniff"}
"""On every answer: what clients send comes back in some, and no browser shall take it for a page."""

SERVER = "tidemark"
"""Without a version: who looks for one with a known fault looks elsewhere."""


def render(path: str, error: TidemarkError) -> tuple[int, dict[str, str], bytes]:
    """Status, headers and body of the answer to a failed request."""
    shape = shape_of(path)
    headers = {"Content-Type": shape.content_type, **NO_SNIFFING}
    if error.retry_after is not None:
        headers["Retry-After"] = str(error.retry_after)
    if error.allow is not None:
        headers["Allow"] = error.allow
    if error.kind.status == 401 and shape.challenge is not None:
        headers["WWW-Authenticate"] = shape.challenge
    document = shape.document(error)
    try:
        body = orjson.dumps(document)
    except TypeError:  # it repeats what is not UTF-8
        body = json.dumps(document, ensure_ascii=False).encode("utf-8", "replace")
    return error.kind.status.value, headers, body


def response(path: str, error: TidemarkError) -> web.Response:
    """The answer of aiohttp's lane to a failed request."""
    status, headers, document = render(path, error)
    return web.Response(status=status, headers={**headers, hdrs.SERVER: SERVER}, body=document)
