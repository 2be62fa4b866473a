"""Tidemark: durable, exact and fast time-series ingestion and queries over HTTP."""
