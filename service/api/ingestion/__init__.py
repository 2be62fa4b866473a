"""Bulk and streaming ingestion: one pipeline, many wire formats."""
