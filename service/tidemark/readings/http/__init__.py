"""Readings over HTTP: the sensor API, bulk ingestion, InfluxDB, Prometheus, collectd, series."""
