"""The current SQL views: each has a file in `sql/views/`, and all are defined again when one of them has changed.

A file `NAME.sql`, or one `NAME.ENGINE.sql` per engine, defines the view NAME with CREATE OR REPLACE, and grants what
others may do with it. That cannot remove a column or change its type. A migration does so: it drops the view and all
that depend on it, and the files create them anew. Therefore they are also defined again after every migration.
"""

import hashlib
import re
from dataclasses import dataclass
from graphlib import TopologicalSorter
from pathlib import Path
from typing import TYPE_CHECKING

import structlog

from tidemark.database.statements import SQL, files, statements

if TYPE_CHECKING:
    from tidemark.database.database import Connected

log = structlog.get_logger(__name__)

_CREATED = re.compile(r"CREATE OR REPLACE VIEW ([\w.]+)")


@dataclass(frozen=True)
class View:
    """The definition of one view and its grants; the name has its schema if that is not `public`."""

    name: str
    text: str


def views(engine: str, folder: Path = SQL / "views") -> list[View]:
    """The views of an engine, each after those that it selects from. Raises ValueError for a file without a view."""
    found = dict(_named(path) for path in files(folder, "", engine))
    selects_from = {name: _words(text) & found.keys() - {name} for name, text in found.items()}
    return [View(name, found[name]) for name in TopologicalSorter(selects_from).static_order()]


def _named(path: Path) -> tuple[str, str]:
    text = path.read_text(encoding="utf-8")
    created = _CREATED.search(text)
    if created is None or created[1].rpartition(".")[2] != path.name.partition(".")[0]:
        raise ValueError(f"{path} does not define the view that it is named after.")
    return created[1], text


def _words(text: str) -> set[str]:
    return set(re.findall(r"[\w.]+", re.sub("--.*", "", text)))


async def replace_views(connection: "Connected", engine: str, *, migrated: bool) -> None:
    """Define all views if one of their files has changed, or if a migration was applied just now.

    All functions must have been replaced. The connection must be in the transaction that holds the migration lock.
    """
    current = views(engine)
    fingerprint = hashlib.sha256("".join(view.text for view in current).encode()).hexdigest()
    if not migrated and await statements().views_fingerprint.value(connection) == fingerprint:
        return
    for view in current:
        await connection.execute(view.text)
    await statements().record_views.run(connection, fingerprint=fingerprint)
    log.info("replaced SQL views", views=len(current))
