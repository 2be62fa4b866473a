"""The wire formats of readings."""
