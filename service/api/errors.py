"""Errors as each surface shows them."""

from typing import Any, Protocol

import orjson

from service.errors import TidemarkError


class ErrorShape(Protocol):
    """How a surface writes an error: its media type and its document."""

    content_type: str

    def document(self, error: TidemarkError) -> dict[str, Any]:
        """The body of the answer."""


class SensorErrors:
    """JSON:API error objects, of the sensor API."""

    content_type = "application/vnd.api+json"

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

    def document(self, error: TidemarkError) -> dict[str, Any]:
        """The error's code and message, and the field at fault as a detail."""
        details = {} if error.field is None else {"field": error.field}
        return {"error": {"code": error.kind.code, "message": error.message, "details": details}}


class WebErrors:
    """`{"error": message}`, of the web analytics API."""

    content_type = "application/json"

    def document(self, error: TidemarkError) -> dict[str, Any]:
        """The message alone."""
        return {"error": error.message}


_SHAPES: tuple[tuple[str, ErrorShape], ...] = (
    ("/api/external/v1", SensorErrors()),
    ("/api/v2", WebErrors()),
)
_OTHERS = PlatformErrors()


def shape_of(path: str) -> ErrorShape:
    """The error shape of the surface that a path belongs to."""
    return next((shape for prefix, shape in _SHAPES if f"{path}/".startswith(f"{prefix}/")), _OTHERS)


def render(path: str, error: TidemarkError) -> tuple[int, dict[str, str], bytes]:
    """Status, headers and body of the answer to a failed request."""
    shape = shape_of(path)
    headers = {"Content-Type": shape.content_type}
    if error.retry_after is not None:
        headers["Retry-After"] = str(error.retry_after)
    if error.allow is not None:
        headers["Allow"] = error.allow
    if error.kind.status == 401:
        headers["WWW-Authenticate"] = 'Bearer realm="tidemark"'
    return error.kind.status.value, headers, orjson.dumps(shape.document(error))
