"""Readings of sensors: writing them, rolling them up, and reading them."""
