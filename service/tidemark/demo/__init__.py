"""A demonstration with real, public data, played through the HTTP API."""
