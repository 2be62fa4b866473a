"""The embedded PostgreSQL server and its programs."""
