"""The one error that reaches users; each HTTP surface and the command line render it in their own way."""

from enum import Enum
from http import HTTPStatus


class Kind(Enum):
    """What went wrong: a code for programs, and the HTTP status that goes with it."""

    INVALID_REQUEST = ("invalid_request", HTTPStatus.BAD_REQUEST)
    UNAUTHORIZED = ("unauthorized", HTTPStatus.UNAUTHORIZED)
    INSUFFICIENT_SCOPE = ("insufficient_scope", HTTPStatus.FORBIDDEN)
    FORBIDDEN = ("forbidden", HTTPStatus.FORBIDDEN)
    NOT_FOUND = ("not_found", HTTPStatus.NOT_FOUND)
    METHOD_NOT_ALLOWED = ("method_not_allowed", HTTPStatus.METHOD_NOT_ALLOWED)
    TOO_SLOW = ("request_timeout", HTTPStatus.REQUEST_TIMEOUT)
    CONFLICT = ("conflict", HTTPStatus.CONFLICT)
    TOO_LARGE = ("too_large", HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
    UNSUPPORTED_MEDIA_TYPE = ("unsupported_media_type", HTTPStatus.UNSUPPORTED_MEDIA_TYPE)
    EXPECTATION_FAILED = ("expectation_failed", HTTPStatus.EXPECTATION_FAILED)
    RATE_LIMIT_EXCEEDED = ("rate_limit_exceeded", HTTPStatus.TOO_MANY_REQUESTS)
    INTERNAL = ("internal", HTTPStatus.INTERNAL_SERVER_ERROR)
    UNAVAILABLE = ("unavailable", HTTPStatus.SERVICE_UNAVAILABLE)

    def __init__(self, code: str, status: HTTPStatus) -> None:
        self.code = code
        self.status = status


class TidemarkError(Exception):
    """An error whose message tells its reader what to do.

    `field` names the parameter, header or part of the body at fault; `retry_after` is in seconds; `allow` lists the
    methods that would have been accepted instead of a 405.
    """

    def __init__(
        self,
        kind: Kind,
        message: str,
        *,
        field: str | None = None,
        retry_after: int | None = None,
        allow: str | None = None,
    ) -> None:
        super().__init__(message)
        self.kind = kind
        self.message = message
        self.field = field
        self.retry_after = retry_after
        self.allow = allow

    def copy(self) -> "TidemarkError":
        """The same error, for another caller to raise."""
        return TidemarkError(self.kind, self.message, field=self.field, retry_after=self.retry_after, allow=self.allow)


class FieldError(TidemarkError):
    """A value that cannot be used (400): `field` names where it was given, `message` says what is wrong with it."""

    field: str

    def __init__(self, field: str, message: str) -> None:
        super().__init__(Kind.INVALID_REQUEST, message, field=field)


def invalid(field: str, message: str) -> FieldError:
    """The error for a value of the request that cannot be used (400)."""
    return FieldError(field, message)


def unauthorized(message: str, field: str | None = None) -> TidemarkError:
    """The error for a key or token that is missing or wrong (401)."""
    return TidemarkError(Kind.UNAUTHORIZED, message, field=field)


def forbidden(message: str, field: str | None = None) -> TidemarkError:
    """The error for something that the caller has no access to, or that must look as if it were (403)."""
    return TidemarkError(Kind.FORBIDDEN, message, field=field)


def not_found(message: str, field: str | None = None) -> TidemarkError:
    """The error for something that does not exist, or belongs to another organization (404)."""
    return TidemarkError(Kind.NOT_FOUND, message, field=field)


def conflict(message: str, field: str | None = None) -> TidemarkError:
    """The error for a request that contradicts itself or what is stored (409)."""
    return TidemarkError(Kind.CONFLICT, message, field=field)


def internal() -> TidemarkError:
    """The error for a fault of the service, of which its log has the details (500)."""
    return TidemarkError(Kind.INTERNAL, "Something went wrong here; the service's log has the details.")


def unavailable(message: str, retry_after: int = 1) -> TidemarkError:
    """The error for a database that is out of reach, or for too much pending work (503); `retry_after` in seconds."""
    return TidemarkError(Kind.UNAVAILABLE, message, retry_after=retry_after)
