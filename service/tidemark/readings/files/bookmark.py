"""Where an interrupted import of a file resumes: the outcome so far, kept in the database of the readings."""

import hashlib
import time
from dataclasses import asdict
from pathlib import Path

import orjson

from tidemark.bodies.outcome import Outcome, Rejection
from tidemark.database.database import Database
from tidemark.database.statements import statements

EVERY_SECONDS = 0.5
"""Minimum time between two moves of a bookmark. Records after it are stored again, which changes nothing."""
_HEAD = 64 * 1024


def fingerprint(file: Path) -> bytes:
    """A hash of a file's path, size, modification time and beginning, which identifies the file until it changes."""
    status = file.stat()
    with file.open("rb") as opened:
        head = opened.read(_HEAD)
    identity = f"{file.resolve()}\0{status.st_size}\0{status.st_mtime_ns}\0"
    return hashlib.sha256(identity.encode("utf-8", "surrogateescape") + head).digest()


class Bookmark:
    """The bookmark of one file in one organization."""

    def __init__(self, database: Database, company_id: int, file: bytes) -> None:
        self._database = database
        self._key = {"company_id": company_id, "file": file}
        self._kept_at = time.monotonic()

    async def read(self) -> Outcome:
        """The outcome of the part before the bookmark; an empty one if there is no bookmark. Raises TidemarkError."""
        async with self._database.session() as connection:
            await statements().remove_old_bookmarks.run(connection)
            row = await statements().read_bookmark.row(connection, **self._key)
        if row is None:
            return Outcome()
        rejections = [Rejection(**one) for one in orjson.loads(row["rejections"])]
        return Outcome(row["accepted"], row["rejected"], rejections=rejections)

    async def keep(self, outcome: Outcome) -> None:
        """Move the bookmark to the end of the records in `outcome`, unless it was moved a moment ago."""
        if time.monotonic() - self._kept_at < EVERY_SECONDS:
            return
        async with self._database.session() as connection:
            await statements().keep_bookmark.run(
                connection,
                **self._key,
                accepted=outcome.accepted,
                rejected=outcome.rejected,
                rejections=orjson.dumps([asdict(one) for one in outcome.rejections]).decode(),
            )
        self._kept_at = time.monotonic()

    async def remove(self) -> None:
        """Remove the bookmark, so that the next import of the file starts from the beginning."""
        async with self._database.session() as connection:
            await statements().remove_bookmark.run(connection, **self._key)
