"""Web analytics: `/api/v2`, and the collector of page views."""
