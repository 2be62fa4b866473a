"""The cold-chain analytics API: `/api/v1` for partner dashboards."""
