"""Wire formats, each a pure decoder."""
