"""The databases and organizations that InfluxDB's clients look for before they write: `/query` of version 1, buckets
and organizations of version 2.

Clients find them in InfluxDB's own shapes. None of this changes where readings go.
"""

import hashlib
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs, urlencode

import orjson
from aiohttp import hdrs, web

from tidemark.base.errors import invalid, not_found
from tidemark.catalog import organizations
from tidemark.catalog.principal import Principal
from tidemark.http import authentication, body
from tidemark.http.core import CORE, Core
from tidemark.http.parameters import Parameters
from tidemark.readings import influx_databases
from tidemark.readings.influx_databases import InfluxDatabase

BUCKETS, ORGANIZATIONS = "/api/v2/buckets", "/api/v2/orgs"
MAX_STATEMENTS = 10
"""Largest number of statements in a request to `/query`."""

_MAX_BODY = 64 * 1024
_BUCKET_FILTERS = ("id", "name", "org", "orgID")
"""Parameters that select buckets."""
_MAX_PAGE, _DEFAULT_PAGE = 100, 20
_STATEMENT = re.compile(
    r"""\s* (?: show \s+ databases
              | create \s+ database \s+ (?: if \s+ not \s+ exists \s+ )?
                (?: "(?P<quoted> (?: [^"\\] | \\. )+ )" | (?P<plain> [^\s;"]+ ) )
                (?: \s+ with \s+ (?: duration \s+ (?P<duration> [^\s;]+ ) )? [^;]* )?
            ) \s* (?: ; \s* | \Z )""",
    re.VERBOSE | re.IGNORECASE | re.DOTALL,
)
_FOR_EVER = re.compile(r"inf | (?: 0+ [a-zµ]+ )+", re.VERBOSE | re.IGNORECASE)
"""A duration of InfluxDB 1 that never ends: `INF`, or zero in any unit. It is the first option after WITH."""
_NO_RETENTION = "Retention cannot be set for a database or bucket here; leave it out."
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)
_DEPRECATED = "deprecated use of CREATE DATABASE in a read only context, please use a POST request instead"
"""InfluxDB 1's own warning about CREATE DATABASE in a GET request."""


async def query(request: web.Request) -> web.Response:
    """`/query`: only the statements by which clients make sure that their database exists before they write.

    Without credentials nothing is created, and only the default database is shown.
    """
    core = request.app[CORE]
    statements = _statements(await _query_text(request))
    has_credentials = any(name in request.headers for name in authentication.CREDENTIALS)
    principal = await authentication.ingestion(core.access, request.headers) if has_credentials else None
    results: list[dict[str, Any]] = []
    for number, name in enumerate(statements):
        result: dict[str, Any] = {"statement_id": number}
        if name is None:
            result["series"] = [{"name": "databases", "columns": ["name"], "values": await _names(core, principal)}]
        else:
            await _make(request, principal, name)
            if request.method != hdrs.METH_POST:
                result["messages"] = [{"level": "warning", "text": _DEPRECATED}]
        results.append(result)
    return _json({"results": results})


async def find_organizations(request: web.Request) -> web.Response:
    """`GET /api/v2/orgs`: the caller's own organization, the only one that `org` (a name) and `orgID` may name."""
    own = await _own(request)
    _require(own, Parameters.first_of_each(request, "org", "orgID"))
    return _json({"links": {"self": ORGANIZATIONS}, "orgs": [_as_organization(own)]})


async def read_organization(request: web.Request) -> web.Response:
    """`GET /api/v2/orgs/{id}`: the caller's own organization."""
    own = await _own(request)
    _require(own, {"orgID": request.match_info["id"]})
    return _json(_as_organization(own))


async def find_buckets(request: web.Request) -> web.Response:
    """`GET /api/v2/buckets`: the caller's databases, in pages, filtered by `name`, `id`, `org` and `orgID`."""
    own = await _own(request)
    parameters = Parameters.first_of_each(request, *_BUCKET_FILTERS, "limit", "offset", "after")
    _require(own, {"org": parameters.get("org", own["name"])})
    asked = {name: parameters[name] for name in ("id", "name", "orgID") if name in parameters}
    found = [bucket for bucket in await _buckets(request, own) if asked.items() <= bucket.items()]
    if not found and ("id" in asked or {"name", "orgID"} <= asked.keys()):
        raise not_found("bucket not found")
    limit = parameters.whole_number("limit", _DEFAULT_PAGE, _MAX_PAGE)
    first = _first(parameters, found)
    links = {"self": _page_link(parameters, limit, first)}
    if first + limit < len(found):
        links["next"] = _page_link(parameters, limit, first + limit)
    return _json({"links": links, "buckets": found[first : first + limit]})


async def read_bucket(request: web.Request) -> web.Response:
    """`GET /api/v2/buckets/{id}`: one of the caller's databases."""
    for bucket in await _buckets(request, await _own(request)):
        if bucket["id"] == request.match_info["id"]:
            return _json(bucket)
    raise not_found("bucket not found")


async def make_bucket(request: web.Request) -> web.Response:
    """`POST /api/v2/buckets`: 201 and the database, even if it already existed."""
    own = await _own(request)
    try:
        document = orjson.loads(await body.whole(request, max_bytes=_MAX_BODY))
    except orjson.JSONDecodeError as error:
        raise invalid("body", f"The body is not JSON: {error}.") from None
    if not isinstance(document, dict):
        raise invalid("body", "The body must be a JSON object.")
    _require(own, document)
    if _sets_retention(document.get("retentionRules")):
        raise invalid("retentionRules", _NO_RETENTION)
    async with request.app[CORE].database.session() as connection:
        made = await influx_databases.make(connection, own["company_id"], document.get("name"))
    return _json(_as_bucket(made, own["company_id"]), status=201)


async def _query_text(request: web.Request) -> str:
    given = Parameters.first_of_each(request, "q").get("q")
    if given is None and request.method == hdrs.METH_POST:
        form = await body.whole(request, max_bytes=_MAX_BODY)
        given = parse_qs(form.decode(errors="replace")).get("q", [""])[0]
    return given or ""


def _statements(text: str) -> list[str | None]:
    """For each statement, the database that it creates, or None if it shows them. Raises TidemarkError."""
    found: list[str | None] = []
    position = 0
    while position < len(text) or not found:
        match = _STATEMENT.match(text, position)
        if match is None or len(found) == MAX_STATEMENTS:
            raise invalid(
                "q",
                "Tidemark accepts InfluxDB's writes, not its queries; read from /api/v1/series or the sensor API. The "
                "only statements supported are those that clients send before they write, CREATE DATABASE and SHOW "
                f"DATABASES, at most {MAX_STATEMENTS} at a time.",
            )
        if match["duration"] is not None and not _FOR_EVER.fullmatch(match["duration"]):
            raise invalid("q", f"WITH DURATION: {_NO_RETENTION}")
        quoted = match["quoted"]
        found.append(match["plain"] if quoted is None else _ESCAPED.sub(r"\1", quoted))
        position = match.end()
    return found


async def _names(core: Core, principal: Principal | None) -> list[list[str]]:
    if principal is None:
        return [[influx_databases.DEFAULT]]
    async with core.database.session() as connection:
        return [[one.name] for one in await influx_databases.every(connection, principal.company_id)]


async def _make(request: web.Request, principal: Principal | None, name: str) -> None:
    if principal is not None and request.method != hdrs.METH_HEAD:
        async with request.app[CORE].database.session() as connection:
            await influx_databases.make(connection, principal.company_id, name)


async def _own(request: web.Request) -> Mapping[str, Any]:
    """The caller's organization. Raises TidemarkError."""
    core = request.app[CORE]
    principal = await authentication.ingestion(core.access, request.headers)
    async with core.database.session() as connection:
        return await organizations.read(connection, principal.company_id)


async def _buckets(request: web.Request, own: Mapping[str, Any]) -> list[dict[str, Any]]:
    async with request.app[CORE].database.session() as connection:
        databases = await influx_databases.every(connection, own["company_id"])
    return [_as_bucket(one, own["company_id"]) for one in databases]


def _as_organization(own: Mapping[str, Any]) -> dict[str, Any]:
    number = _organization_number(own["company_id"])
    return {
        "links": {"self": f"{ORGANIZATIONS}/{number}", "buckets": f"{BUCKETS}?orgID={number}"},
        "id": number,
        "name": own["name"],
        "description": "",
        "status": "active",
        "createdAt": own["created_at"],
        "updatedAt": own["created_at"],
    }


def _as_bucket(database: InfluxDatabase, company_id: int) -> dict[str, Any]:
    organization = _organization_number(company_id)
    number = hashlib.sha256(f"{organization}/{database.name}".encode()).hexdigest()[:16]
    return {
        "links": {
            "self": f"{BUCKETS}/{number}",
            "org": f"{ORGANIZATIONS}/{organization}",
            "write": f"/api/v2/write?org={organization}&bucket={number}",
        },
        "id": number,
        "orgID": organization,
        "type": "user",
        "name": database.name,
        "retentionRules": [],
        "createdAt": database.made_at,
        "updatedAt": database.made_at,
        "labels": [],
    }


def _organization_number(company_id: int) -> str:
    """An id like InfluxDB's: sixteen hexadecimal digits."""
    return f"{company_id:016x}"


def _require(own: Mapping[str, Any], asked: Mapping[str, Any]) -> None:
    """Raise TidemarkError (404) if `org` (a name, or Tidemark's own id) or `orgID` names another organization."""
    names, number = (own["name"], own["organization_id"]), _organization_number(own["company_id"])
    if asked.get("org", own["name"]) not in names or asked.get("orgID", number) != number:
        raise not_found("organization not found")


def _first(parameters: Parameters, found: list[dict[str, Any]]) -> int:
    """The index of a page's first item: `offset`, or the one that follows the item whose id is `after`."""
    if "after" in parameters:
        return next((index + 1 for index, one in enumerate(found) if one["id"] == parameters["after"]), len(found))
    if parameters.get("offset") == "0":
        return 0
    return parameters.whole_number("offset", 0, influx_databases.KEPT)


def _page_link(parameters: Parameters, limit: int, first: int) -> str:
    asked = {name: parameters[name] for name in _BUCKET_FILTERS if name in parameters}
    return f"{BUCKETS}?{urlencode({**asked, 'limit': limit, 'offset': first})}"


def _sets_retention(rules: Any) -> bool:
    return isinstance(rules, list) and any(isinstance(rule, dict) and rule.get("everySeconds") for rule in rules)


def _json(document: Any, status: int = 200) -> web.Response:
    return web.Response(
        status=status,
        body=orjson.dumps(document, option=orjson.OPT_UTC_Z),
        content_type="application/json",
        charset="utf-8",
    )
