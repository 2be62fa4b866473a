"""Keys and tokens from request headers, never from a URL, which proxies and logs keep."""

from base64 import b64decode

from aiohttp import web
from multidict import CIMultiDictProxy

from tidemark.base.errors import unauthorized
from tidemark.catalog.access import Access
from tidemark.catalog.principal import KEY_SCOPES, Principal
from tidemark.catalog.secrets import looks_like_api_key

CREDENTIALS = ("Authorization", "ORGANIZATION-ID", "ORGANIZATION-API-KEY")
"""The headers that identify a sender."""

_KEY_PARAMETERS = frozenset(
    (
        "organizationapikey",
        "apikey",
        "apitoken",
        "accesstoken",
        "token",
        "authorization",
        "xapikey",
        "key",
        "p",
    )
)


def refuse_key_in_query(request: web.Request) -> None:
    """Refuse a key in a query parameter: raises TidemarkError (401)."""
    for name in request.query:
        if name.lower().replace("-", "").replace("_", "") in _KEY_PARAMETERS:
            raise unauthorized(
                "Keys and tokens are not accepted in the URL, where logs would keep them; send them as headers.",
                name.lower(),
            )


def one_header(headers: CIMultiDictProxy[str], name: str) -> str | None:
    """The value of a header that may be given only once. Raises TidemarkError (401) if it is repeated."""
    values = headers.getall(name, [])
    if len(values) > 1:
        raise unauthorized(f"The header {name} is given more than once; send it once.", name)
    return values[0] if values else None


async def organization(access: Access, headers: CIMultiDictProxy[str]) -> Principal:
    """The organization whose key is in the headers. Raises TidemarkError."""
    organization_id = one_header(headers, "ORGANIZATION-ID")
    api_key = one_header(headers, "ORGANIZATION-API-KEY")
    for name, value in (("ORGANIZATION-ID", organization_id), ("ORGANIZATION-API-KEY", api_key)):
        if not value:
            raise unauthorized(f"The header {name} is missing.", name)
    return await access.organization(organization_id or "", api_key or "")


async def ingestion(access: Access, headers: CIMultiDictProxy[str]) -> Principal:
    """The sender of readings: an organization by its key, or the bearer of a token with the scope `ingest`, sent as
    Bearer, as the password of Basic, or as InfluxDB's clients do. Raises TidemarkError.
    """
    if "Authorization" not in headers:
        return await organization(access, headers)
    principal = await _of_token(access, headers, "bearer", "basic", "token")
    principal.require("ingest")
    return principal


async def bearer(access: Access, headers: CIMultiDictProxy[str]) -> Principal:
    """The bearer of a token, whatever its scopes. Raises TidemarkError."""
    return await _of_token(access, headers, "bearer")


async def caller(access: Access, headers: CIMultiDictProxy[str], scope: str) -> Principal:
    """The caller of an endpoint that needs a scope, whether or not they have it: the bearer of a token, or an
    organization by its key if keys have that scope too. Raises TidemarkError.
    """
    has_key = "ORGANIZATION-ID" in headers or "ORGANIZATION-API-KEY" in headers
    if scope in KEY_SCOPES and has_key and "Authorization" not in headers:
        return await organization(access, headers)
    return await bearer(access, headers)


async def token(access: Access, headers: CIMultiDictProxy[str], scope: str) -> Principal:
    """The caller, who must have this scope, by a token or, if keys have it too, by an organization's key. Raises
    TidemarkError.
    """
    principal = await caller(access, headers, scope)
    principal.require(scope)
    return principal


async def _of_token(access: Access, headers: CIMultiDictProxy[str], *schemes: str) -> Principal:
    scheme, _, value = (one_header(headers, "Authorization") or "").partition(" ")
    user, value = _basic(value) if scheme.lower() == "basic" else ("", value.strip())
    if any(map(looks_like_api_key, (scheme, user, value))):
        raise unauthorized(
            "This looks like an organization key, which belongs in the header ORGANIZATION-API-KEY, together with the "
            "organization's id in ORGANIZATION-ID. An API token begins with tidemark_.",
            "Authorization",
        )
    if not value or scheme.lower() not in schemes:
        raise unauthorized("Send an API token as the header 'Authorization: Bearer TOKEN'.", "Authorization")
    return await access.token(value)


def _basic(credentials: str) -> tuple[str, str]:
    """User name and password (RFC 7617); both empty if they cannot be decoded."""
    try:
        user, _, password = b64decode(credentials.strip(), validate=True).decode().partition(":")
    except ValueError:
        return "", ""
    return user, password
