"""`tidemark database`: the embedded server alone, to restore a backup or to look into it with SQL."""

import shlex
import signal
from types import FrameType

import click

from tidemark.base.settings import Settings
from tidemark.cli.session import as_json, show
from tidemark.embedded.server import NAME, embedded_server, kept_up
from tidemark.server.database_url import ServeError

TEXT = """\
PostgreSQL {postgres} is running on the data in {data_dir}, until Ctrl-C.

  url       {url}
  socket    {socket}
  programs  {programs}

Connect to it from another terminal:

{connect}
"""


@click.command()
@click.option("--create", is_flag=True, help="create the data directory if it is missing, to restore a backup into")
@as_json
@click.pass_obj
def database(settings: Settings, /, create: bool, json_output: bool) -> None:
    """Run the embedded PostgreSQL server alone, until SIGTERM or Ctrl-C, and print how to connect to it."""
    if settings.database_url is not None:
        raise ServeError(
            "TIDEMARK_DATABASE_URL names a server of your own, which Tidemark does not run. "
            "Unset it to run the embedded one."
        )
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _leave)
    with (
        embedded_server(
            settings.data_dir, settings.postgres_bin, listen=settings.postgres_listen, create=create
        ) as server,
        kept_up(settings.data_dir, settings.postgres_bin, listen=settings.postgres_listen),
    ):
        answer = {
            "url": server.url,
            "socket": str(server.socket_dir),
            "port": server.port,
            "user": NAME,
            "database": NAME,
            "data_dir": str(settings.data_dir.absolute()),
            "programs": str(server.programs.folder),
            "postgres": server.programs.major,
            "connect": shlex.join([server.programs.program("psql"), server.url]),
        }
        show(answer, json_output, TEXT)
        while True:
            signal.pause()


def _leave(_signal: int, _frame: FrameType | None) -> None:
    raise SystemExit(0)
