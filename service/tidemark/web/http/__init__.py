"""The web analytics API and its collector."""
