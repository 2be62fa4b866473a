"""The version of Tidemark that is installed."""

from importlib.metadata import version

TIDEMARK_VERSION = version("tidemarkdb")
