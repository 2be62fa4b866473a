"""Databases as earlier releases created them.

`released.zip` has the migrations of version 0.1.0, which defined functions and triggers too, exactly as databases of
that release went through them. They are in an archive so that a search for a function finds only its current
definition.
"""

import re
import zipfile
from pathlib import Path
from typing import Any

import asyncpg

VERSION = 18
"""The schema version of 0.1.0."""

_ARCHIVE = Path(__file__).with_name("released.zip")
_FILE_NAME = re.compile(r"(\d{4})_(\w+?)(?:\.(timescale|postgres))?\.sql")
_TABLE = """
    CREATE TABLE schema_migration (
        version integer PRIMARY KEY, name text NOT NULL, engine text NOT NULL,
        applied_at timestamptz NOT NULL DEFAULT now()
    )
"""
_RECORD = "INSERT INTO schema_migration (version, name, engine) VALUES ($1, $2, $3)"


async def make_schema(connection: "asyncpg.Connection[Any]", engine: str, version: int = VERSION) -> None:
    """Give an empty database the schema of 0.1.0, or an earlier version of it."""
    async with connection.transaction():
        await connection.execute(_TABLE)
        with zipfile.ZipFile(_ARCHIVE) as archive:
            for file in sorted(archive.namelist()):
                match = _FILE_NAME.fullmatch(file)
                assert match is not None, file
                if int(match[1]) <= version and match[3] in (None, engine):
                    await connection.execute(archive.read(file).decode())
                    await connection.execute(_RECORD, int(match[1]), match[2], engine)
