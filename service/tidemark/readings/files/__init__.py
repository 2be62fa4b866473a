"""Readings in files."""
