"""The command line, `tidemark`."""

from tidemark.cli.main import main

__all__ = ["main"]
