"""The surfaces of readings, and their routes."""

from tidemark.http.errors import PLATFORM_ERRORS
from tidemark.http.route import Route
from tidemark.http.surface import BASIC, BEARER, BEARER_OR_BASIC, ROOT, Origins, Surface
from tidemark.readings.http import (
    bulk,
    collectd,
    fetch,
    influx,
    influx_databases,
    influx_status,
    latest,
    prometheus,
    series,
    upload,
)
from tidemark.readings.http.errors import INFLUX_1_ERRORS, INFLUX_2_ERRORS, SENSOR_ERRORS

SENSOR_API = Surface(("/api/external/v1",), SENSOR_ERRORS, 'OrganizationKey realm="tidemark"')
INGESTION_API = Surface(
    ("/api/v1/readings", "/api/v1/write", "/api/v1/collectd"), PLATFORM_ERRORS, BEARER_OR_BASIC, origins=Origins.ALLOWED
)
SERIES_API = Surface(
    ("/api/v1/series", "/api/v1/latest"), PLATFORM_ERRORS, BEARER, limited=True, origins=Origins.ALLOWED
)
INFLUX_1_API = Surface(("/write", "/query"), INFLUX_1_ERRORS, BASIC)
INFLUX_2_API = Surface(
    ("/api/v2/write", "/api/v2/buckets", "/api/v2/orgs"),
    INFLUX_2_ERRORS,
    'Token realm="tidemark"',
    origins=Origins.ALLOWED,
)
INFLUX_3_API = Surface(("/api/v3/write_lp",), INFLUX_1_ERRORS, BEARER)

SURFACES = (SENSOR_API, INGESTION_API, SERIES_API, INFLUX_1_API, INFLUX_2_API, INFLUX_3_API)

ROUTES = (
    Route("POST", "/api/external/v1/inputs/{input_pk}/inputdata", upload.receive, SENSOR_API),
    Route("GET", "/api/external/v1/get_inputdata_by_inputs", fetch.by_inputs, SENSOR_API),
    Route("GET", "/api/external/v1/get_statistics_inputdata_by_inputs", fetch.statistics_by_inputs, SENSOR_API),
    Route("GET", "/api/external/v1/get_latest_inputdata_by_inputs", fetch.latest_by_inputs, SENSOR_API),
    Route(
        "GET",
        "/api/external/v1/get_latest_statistics_inputdata_by_inputs",
        fetch.latest_statistics_by_inputs,
        SENSOR_API,
    ),
    Route("GET", "/api/external/v1/get_inputdata_by_asset", fetch.by_asset, SENSOR_API),
    Route("GET", "/api/external/v1/get_statistics_inputdata_by_asset", fetch.statistics_by_asset, SENSOR_API),
    Route("GET", "/api/external/v1/get_latest_inputdata_by_asset", fetch.latest_by_asset, SENSOR_API),
    Route(
        "GET", "/api/external/v1/get_latest_statistics_inputdata_by_asset", fetch.latest_statistics_by_asset, SENSOR_API
    ),
    Route("POST", "/api/v1/readings", bulk.store, INGESTION_API),
    Route("DELETE", "/api/v1/readings", bulk.delete, INGESTION_API),
    Route("POST", "/api/v1/write", prometheus.write, INGESTION_API),
    Route("POST", "/api/v1/collectd", collectd.store, INGESTION_API),
    Route("GET", "/api/v1/series", series.read, SERIES_API),
    Route("POST", "/api/v1/series/batch", series.read_batch, SERIES_API),
    Route("GET", "/api/v1/latest", latest.read, SERIES_API),
    Route("POST", "/write", influx.write_v1, INFLUX_1_API),
    Route("GET", "/query", influx_databases.query, INFLUX_1_API),
    Route("POST", "/query", influx_databases.query, INFLUX_1_API),
    Route("POST", "/api/v2/write", influx.write_v2, INFLUX_2_API),
    Route("GET", "/api/v2/buckets", influx_databases.find_buckets, INFLUX_2_API),
    Route("POST", "/api/v2/buckets", influx_databases.make_bucket, INFLUX_2_API),
    Route("GET", "/api/v2/buckets/{id}", influx_databases.read_bucket, INFLUX_2_API),
    Route("GET", "/api/v2/orgs", influx_databases.find_organizations, INFLUX_2_API),
    Route("GET", "/api/v2/orgs/{id}", influx_databases.read_organization, INFLUX_2_API),
    Route("POST", "/api/v3/write_lp", influx.write_v3, INFLUX_3_API),
    Route("GET", "/ping", influx_status.ping, ROOT),
    Route("GET", "/health", influx_status.health, ROOT),
    Route("GET", "/ready", influx_status.ready, ROOT),
)
