"""The surfaces of cold storage, and their routes."""

from tidemark.coldchain.http import analytics, operations, sensor_data
from tidemark.http.errors import PLATFORM_ERRORS
from tidemark.http.route import Route
from tidemark.http.surface import BEARER, BEARER_OR_BASIC, Origins, Surface

OPERATIONS_API = Surface(("/api/v1/operations",), PLATFORM_ERRORS, BEARER_OR_BASIC, origins=Origins.ALLOWED)
COLD_CHAIN_API = Surface(
    ("/api/v1/sensor-data", "/api/v1/analytics"), PLATFORM_ERRORS, BEARER, limited=True, origins=Origins.ALLOWED
)

SURFACES = (OPERATIONS_API, COLD_CHAIN_API)

ROUTES = (
    Route("POST", "/api/v1/operations", operations.store, OPERATIONS_API),
    Route("GET", "/api/v1/sensor-data", sensor_data.read, COLD_CHAIN_API),
    Route("GET", "/api/v1/analytics/users", analytics.read_users, COLD_CHAIN_API),
    Route("GET", "/api/v1/analytics/utilization", analytics.read_utilization, COLD_CHAIN_API),
    Route("GET", "/api/v1/analytics/revenue", analytics.read_revenue, COLD_CHAIN_API),
    Route("GET", "/api/v1/analytics/impact", analytics.read_impact, COLD_CHAIN_API),
)
