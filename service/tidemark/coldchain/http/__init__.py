"""The cold-chain API."""
