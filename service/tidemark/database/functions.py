"""The current SQL functions: each has a file in `sql/functions/`, and is replaced when that file has changed.

A file `NAME.sql`, or one `NAME.ENGINE.sql` per engine, defines the function NAME with CREATE OR REPLACE, and the
triggers that call it. That cannot drop a function or change its parameters or result. A migration does so: it drops the
old function, and the file creates the new one. See docs/decisions.md, "Functions are replaced when they change".
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import structlog

from tidemark.database.statements import SQL, files, statements

if TYPE_CHECKING:
    from tidemark.database.database import Connected

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Function:
    """The definition of one function and its triggers."""

    name: str
    text: str

    @property
    def fingerprint(self) -> str:
        """The SHA-256 of the definition, in hexadecimal."""
        return hashlib.sha256(self.text.encode()).hexdigest()


def functions(engine: str, folder: Path = SQL / "functions") -> list[Function]:
    """The functions of an engine, ordered by name."""
    found = [
        Function(path.name.partition(".")[0], path.read_text(encoding="utf-8")) for path in files(folder, "", engine)
    ]
    return sorted(found, key=lambda function: function.name)


async def replace_changed(connection: "Connected", engine: str) -> None:
    """Define the functions whose files have changed since they were last applied.

    All migrations must have been applied. The connection must be in the transaction that holds the migration lock.
    """
    sql = statements()
    await sql.create_function_table.run(connection)
    applied = {row["name"]: row["fingerprint"] for row in await sql.applied_functions.rows(connection)}
    current = functions(engine)
    changed = [function for function in current if applied.get(function.name) != function.fingerprint]
    if changed:
        await sql.check_no_function_bodies.run(connection)
    for function in changed:
        await connection.execute(function.text)
        await sql.record_function.run(connection, name=function.name, fingerprint=function.fingerprint)
    if applied.keys() - {function.name for function in current}:
        await sql.forget_functions.run(connection, current=[function.name for function in current])
    if changed:
        log.info("replaced SQL functions", functions=len(changed))
