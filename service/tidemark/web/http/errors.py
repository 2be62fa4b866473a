"""The error format of the web analytics API."""

from typing import Any

from tidemark.base.errors import Kind, TidemarkError
from tidemark.http.errors import ErrorShape


def _web(error: TidemarkError) -> dict[str, Any]:
    unauthorized = error.kind is Kind.UNAUTHORIZED
    return {"error": "Unauthorized — provide a valid API key" if unauthorized else error.message}


WEB_ERRORS = ErrorShape(_web)
"""`{"error": message}`; the message of a 401 is always the same."""
