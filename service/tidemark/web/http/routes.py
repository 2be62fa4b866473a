"""The surfaces of web analytics, and their routes."""

from tidemark.http.route import Route
from tidemark.http.surface import BEARER, ROOT, Origins, Surface
from tidemark.web.http import analytics, collect
from tidemark.web.http.errors import WEB_ERRORS

SITES_API = Surface(
    ("/api/v2/sites",), WEB_ERRORS, BEARER, limited=True, reset_in_milliseconds=True, origins=Origins.ALLOWED
)
# Any origin, because there are no cookies that this could expose.
COLLECTOR_API = Surface(("/api/v2/collect",), WEB_ERRORS, BEARER, origins=Origins.ANY)
# Any other path under /api/v2.
WEB_API = Surface(("/api/v2",), WEB_ERRORS, BEARER, origins=Origins.ALLOWED)

SURFACES = (SITES_API, COLLECTOR_API, WEB_API)

ROUTES = (
    Route("GET", "/api/v2/sites", analytics.read_sites, SITES_API),
    Route("GET", "/api/v2/sites/{site_id}/stats", analytics.read_stats, SITES_API),
    Route("GET", "/api/v2/sites/{site_id}/realtime", analytics.read_realtime, SITES_API),
    Route("GET", "/api/v2/sites/{site_id}/events", analytics.read_events, SITES_API),
    Route("GET", "/api/v2/sites/{site_id}/pageviews", analytics.read_pageviews, SITES_API),
    Route("POST", "/api/v2/collect", collect.collect, COLLECTOR_API),
    Route("OPTIONS", "/api/v2/collect", collect.preflight, COLLECTOR_API),
    Route("GET", "/collect.js", collect.script, ROOT),
)
