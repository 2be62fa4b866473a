"""Readings of sensors: the way in, the roll-ups, the way out."""
