"""The surface of the management API, and its routes."""

from tidemark.catalog.http import management
from tidemark.catalog.http.management import Managed
from tidemark.catalog.resources import ASSETS, COOLING_UNITS, LOCATIONS, SENSORS, SITES, Resource
from tidemark.http.errors import PLATFORM_ERRORS
from tidemark.http.route import Route
from tidemark.http.surface import BEARER, Origins, Surface

MANAGEMENT_API = Surface(("/api/v1",), PLATFORM_ERRORS, BEARER, origins=Origins.ALLOWED)

SURFACES = (MANAGEMENT_API,)


def _routes(every: str, one: str, resource: Resource) -> tuple[Route, ...]:
    """The five routes of a resource, given the path of its list and the path of a single one."""
    managed = Managed(resource)
    return (
        Route("POST", every, managed.create, MANAGEMENT_API),
        Route("GET", every, managed.page, MANAGEMENT_API),
        Route("GET", one, managed.read, MANAGEMENT_API),
        Route("PATCH", one, managed.update, MANAGEMENT_API),
        Route("DELETE", one, managed.delete, MANAGEMENT_API),
    )


ROUTES = (
    Route("GET", "/api/v1/organization", management.read_organization, MANAGEMENT_API),
    Route("PATCH", "/api/v1/organization", management.update_organization, MANAGEMENT_API),
    Route("POST", "/api/v1/api-tokens", management.create_token, MANAGEMENT_API),
    Route("GET", "/api/v1/api-tokens", management.list_tokens, MANAGEMENT_API),
    Route("DELETE", "/api/v1/api-tokens/{id}", management.revoke_token, MANAGEMENT_API),
    *_routes("/api/v1/sensors", "/api/v1/sensors/{id}", SENSORS),
    *_routes("/api/v1/assets", "/api/v1/assets/{id}", ASSETS),
    *_routes("/api/v1/cooling-units", "/api/v1/cooling-units/{id}", COOLING_UNITS),
    *_routes("/api/v1/locations", "/api/v1/locations/{id}", LOCATIONS),
    *_routes("/api/v1/sites", "/api/v1/sites/{id}", SITES),
)
