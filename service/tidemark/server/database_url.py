"""Where the database is: the one of the settings, or that of the embedded server, which then runs."""

import contextlib
from collections.abc import Iterator

from tidemark.base.settings import Settings
from tidemark.embedded.programs import EmbeddedServerError
from tidemark.embedded.server import embedded_server


class ServeError(Exception):
    """The service cannot run; the message tells what to do."""


@contextlib.contextmanager
def database_url(settings: Settings, *, create: bool = False) -> Iterator[str]:
    """The URL of the configured database; if that is the embedded server's, the server is kept running.

    Raises ServeError, also if there is no data directory and `create` does not allow making one.
    """
    if settings.database_url is not None:
        yield settings.database_url
        return
    embedded = embedded_server(settings.data_dir, settings.postgres_bin, listen=settings.postgres_listen, create=create)
    with embedded_errors(), embedded as server:
        yield server.url


@contextlib.contextmanager
def embedded_errors() -> Iterator[None]:
    """Raise what the embedded server cannot do as ServeError."""
    try:
        yield
    except EmbeddedServerError as error:
        raise ServeError(str(error)) from None
