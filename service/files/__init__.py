"""Readings in files: CSV, NDJSON and Parquet, in and out."""
