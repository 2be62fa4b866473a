"""The HTTP surfaces: each knows its requests, its JSON and its errors; none sees SQL."""
