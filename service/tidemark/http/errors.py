"""The shapes of error documents. Domains define more of them for their surfaces."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tidemark.base.errors import TidemarkError


@dataclass(frozen=True, slots=True)
class ErrorShape:
    """How a surface writes an error: the JSON document, and its media type."""

    document: Callable[[TidemarkError], dict[str, Any]]
    content_type: str = "application/json"


def _platform(error: TidemarkError) -> dict[str, Any]:
    details = {} if error.field is None else {"field": error.field}
    return {"error": {"code": error.kind.code, "message": error.message, "details": details}}


PLATFORM_ERRORS = ErrorShape(_platform)
"""`{"error": {code, message, details}}`, used under /api/v1 and wherever there is no other shape."""
