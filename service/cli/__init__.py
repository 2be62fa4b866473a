"""The command line, `tidemark`."""

from service.cli.main import main

__all__ = ["main"]
