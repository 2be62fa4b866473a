"""The sensor API, external v1: `/api/external/v1`."""
