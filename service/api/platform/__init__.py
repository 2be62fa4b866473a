"""The management API: `/api/v1` for what exists before data."""
