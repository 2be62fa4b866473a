"""A demonstration with real weather and made-up cold storage, sent through the HTTP API."""
