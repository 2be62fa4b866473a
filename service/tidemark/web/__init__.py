"""Web analytics: stores page views and events, and computes figures from them."""
