"""What exists before data, the organization and its tokens, managed with an `admin` token; dashboards read some."""

from collections.abc import Awaitable, Callable
from typing import Any

import orjson
from aiohttp import hdrs, web

from tidemark.catalog import organizations, resources, tokens
from tidemark.catalog.principal import Principal
from tidemark.catalog.resources import RESOURCES, Resource
from tidemark.http import authentication, body
from tidemark.http.core import CORE
from tidemark.http.paging import Page, envelope, parse_page

Handler = Callable[[web.Request], Awaitable[web.Response]]


def routes() -> list[tuple[str, str, Handler]]:
    """Method, path below the surface's base, and handler."""
    found: list[tuple[str, str, Handler]] = [
        (hdrs.METH_GET, "organization", _read_organization),
        (hdrs.METH_PATCH, "organization", _update_organization),
        (hdrs.METH_POST, "api-tokens", _create_token),
        (hdrs.METH_GET, "api-tokens", _list_tokens),
        (hdrs.METH_DELETE, "api-tokens/{id}", _revoke_token),
    ]
    for resource in RESOURCES:
        found += _resource_routes(resource)
    return found


def _resource_routes(resource: Resource) -> list[tuple[str, str, Handler]]:
    async def create(request: web.Request) -> web.Response:
        principal = await _admin(request)
        document = await body.document(request)
        async with request.app[CORE].database.session() as connection:
            made = await resources.create(connection, resource, principal.company_id, document)
        return _json(made, 201)

    async def page(request: web.Request) -> web.Response:
        principal, seen = await _reader(request, resource)
        asked = parse_page(request.query, "name")
        async with request.app[CORE].database.session() as connection:
            items, total = await resources.page(
                connection, resource, principal.company_id, asked.size, asked.skip, request.query.get("name"), seen
            )
        return _page(asked, items, total)

    async def read(request: web.Request) -> web.Response:
        principal, seen = await _reader(request, resource)
        resource_id = resource.id_of(request.match_info["id"])
        async with request.app[CORE].database.session() as connection:
            return _json(await resources.read(connection, resource, principal.company_id, resource_id, seen))

    async def update(request: web.Request) -> web.Response:
        principal = await _admin(request)
        resource_id = resource.id_of(request.match_info["id"])
        document = await body.document(request)
        async with request.app[CORE].database.session() as connection:
            return _json(await resources.update(connection, resource, principal.company_id, resource_id, document))

    async def delete(request: web.Request) -> web.Response:
        principal = await _admin(request)
        resource_id = resource.id_of(request.match_info["id"])
        async with request.app[CORE].database.session() as connection:
            await resources.delete(connection, resource, principal.company_id, resource_id)
        return web.Response(status=204)

    return [
        (hdrs.METH_POST, resource.path, create),
        (hdrs.METH_GET, resource.path, page),
        (hdrs.METH_GET, f"{resource.path}/{{id}}", read),
        (hdrs.METH_PATCH, f"{resource.path}/{{id}}", update),
        (hdrs.METH_DELETE, f"{resource.path}/{{id}}", delete),
    ]


async def _read_organization(request: web.Request) -> web.Response:
    principal = await _admin(request)
    async with request.app[CORE].database.session() as connection:
        return _json(await organizations.read(connection, principal.company_id))


async def _update_organization(request: web.Request) -> web.Response:
    principal = await _admin(request)
    document = await body.document(request)
    async with request.app[CORE].database.session() as connection:
        return _json(await organizations.update_own(connection, principal.company_id, document))


async def _create_token(request: web.Request) -> web.Response:
    principal = await _admin(request)
    document = await body.document(request)
    async with request.app[CORE].database.session() as connection:
        return _json(await tokens.create(connection, principal.company_id, document), 201)


async def _list_tokens(request: web.Request) -> web.Response:
    principal = await _admin(request)
    asked = parse_page(request.query)
    async with request.app[CORE].database.session() as connection:
        items, total = await tokens.page(connection, principal.company_id, asked.size, asked.skip)
    return _page(asked, items, total)


async def _revoke_token(request: web.Request) -> web.Response:
    principal = await _admin(request)
    async with request.app[CORE].database.session() as connection:
        await tokens.revoke(connection, principal.company_id, request.match_info["id"])
    return web.Response(status=204)


async def _admin(request: web.Request) -> Principal:
    return await authentication.token(request.app[CORE].access, request.headers, "admin")


async def _reader(request: web.Request, resource: Resource) -> tuple[Principal, list[int] | None]:
    """Who may look at a resource, and at what is of which cooling units (None: all, which `admin` always sees)."""
    scope = "sensor_data" if resource.for_dashboards else "admin"
    principal = await authentication.token(request.app[CORE].access, request.headers, scope)
    return principal, None if principal.may("admin") else principal.seen


def _json(document: Any, status: int = 200) -> web.Response:
    return web.Response(
        status=status,
        body=orjson.dumps(document, option=orjson.OPT_UTC_Z),
        content_type="application/json",
        charset="utf-8",
    )


def _page(asked: Page, items: list[dict[str, Any]], total: int) -> web.Response:
    return _json({"data": items, "meta": {"pagination": envelope(asked, total)}})
