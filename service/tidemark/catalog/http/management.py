"""Management of resources, the organization and its tokens, with an `admin` token; dashboards may read some of it."""

from typing import Any

import orjson
from aiohttp import web

from tidemark.catalog import organizations, resources, tokens
from tidemark.catalog.principal import Principal
from tidemark.catalog.resources import Resource
from tidemark.http import authentication, body
from tidemark.http.core import CORE
from tidemark.http.paging import PAGING, Page, envelope
from tidemark.http.parameters import Parameters


class Managed:
    """The endpoints of a resource."""

    def __init__(self, resource: Resource) -> None:
        self._resource = resource

    async def create(self, request: web.Request) -> web.Response:
        """Create one; 201."""
        principal = await _admin(request)
        document = await body.document(request)
        async with request.app[CORE].database.session() as connection:
            made = await resources.create(connection, self._resource, principal.company_id, document)
        return _json(made, 201)

    async def page(self, request: web.Request) -> web.Response:
        """A page of the list, optionally only those with this `name`."""
        principal, seen = await self._reader(request)
        parameters = Parameters.of(request, "name", *PAGING)
        page, name = parameters.page(), parameters.get("name")
        async with request.app[CORE].database.session() as connection:
            items, total = await resources.page(
                connection, self._resource, principal.company_id, page.size, page.skip, name, seen
            )
        return _page(page, items, total)

    async def read(self, request: web.Request) -> web.Response:
        """Read one."""
        principal, seen = await self._reader(request)
        resource_id = self._id(request)
        async with request.app[CORE].database.session() as connection:
            return _json(await resources.read(connection, self._resource, principal.company_id, resource_id, seen))

    async def update(self, request: web.Request) -> web.Response:
        """Change one; the response shows it after the change."""
        principal = await _admin(request)
        resource_id = self._id(request)
        document = await body.document(request)
        async with request.app[CORE].database.session() as connection:
            return _json(
                await resources.update(connection, self._resource, principal.company_id, resource_id, document)
            )

    async def delete(self, request: web.Request) -> web.Response:
        """Delete one; 204."""
        principal = await _admin(request)
        resource_id = self._id(request)
        async with request.app[CORE].database.session() as connection:
            await resources.delete(connection, self._resource, principal.company_id, resource_id)
        return web.Response(status=204)

    def _id(self, request: web.Request) -> Any:
        return self._resource.id_of(request.match_info["id"])

    async def _reader(self, request: web.Request) -> tuple[Principal, list[int] | None]:
        """The caller, and the cooling units whose resources they may see (None: all, as with the scope `admin`)."""
        scope = "sensor_data" if self._resource.for_dashboards else "admin"
        principal = await authentication.token(request.app[CORE].access, request.headers, scope)
        return principal, None if principal.may("admin") else principal.seen


async def read_organization(request: web.Request) -> web.Response:
    """Read the caller's organization."""
    principal = await _admin(request)
    async with request.app[CORE].database.session() as connection:
        return _json(await organizations.read(connection, principal.company_id))


async def update_organization(request: web.Request) -> web.Response:
    """Change the caller's organization; the response shows it after the change."""
    principal = await _admin(request)
    document = await body.document(request)
    async with request.app[CORE].database.session() as connection:
        return _json(await organizations.update_own(connection, principal.company_id, document))


async def create_token(request: web.Request) -> web.Response:
    """Create a token; 201, the only response that contains it."""
    principal = await _admin(request)
    document = await body.document(request)
    async with request.app[CORE].database.session() as connection:
        return _json(await tokens.create(connection, principal.company_id, document), 201)


async def list_tokens(request: web.Request) -> web.Response:
    """A page of the tokens."""
    principal = await _admin(request)
    page = Parameters.of(request, *PAGING).page()
    async with request.app[CORE].database.session() as connection:
        items, total = await tokens.page(connection, principal.company_id, page.size, page.skip)
    return _page(page, items, total)


async def revoke_token(request: web.Request) -> web.Response:
    """Revoke a token; 204."""
    principal = await _admin(request)
    async with request.app[CORE].database.session() as connection:
        await tokens.revoke(connection, principal.company_id, request.match_info["id"])
    return web.Response(status=204)


async def _admin(request: web.Request) -> Principal:
    return await authentication.token(request.app[CORE].access, request.headers, "admin")


def _json(document: Any, status: int = 200) -> web.Response:
    return web.Response(
        status=status,
        body=orjson.dumps(document, option=orjson.OPT_UTC_Z),
        content_type="application/json",
        charset="utf-8",
    )


def _page(asked: Page, items: list[dict[str, Any]], total: int) -> web.Response:
    return _json({"data": items, "meta": {"pagination": envelope(asked, total)}})
