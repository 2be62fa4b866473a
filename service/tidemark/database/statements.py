"""The project's named statements: files under `sql/queries/`, with a header `-- name: NAME` above each statement.

Parameters are written `:name` and passed by name; one that occurs twice in a statement is sent once. What several
statements share is written once, under a header `-- part: NAME`, and included as `{NAME}`. Expressions in a part may
vary: the header `-- part: NAME(word, other)` declares them, `{word}` marks a place, `{NAME(ts; value, ts)}` supplies
them.

A file `NAME.sql` is for both engines, `NAME.timescale.sql` or `NAME.postgres.sql` for one.
"""

import re
from collections.abc import AsyncGenerator, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from asyncpg import Record

    from tidemark.database.database import Connected

# An installed package contains `sql/`; a checkout has it next to `service/`.
_PACKAGE = Path(__file__).resolve().parents[1]
SQL = next(folder for folder in (_PACKAGE / "sql", _PACKAGE.parents[1] / "sql") if folder.is_dir())

PIECE = 5_000
"""Rows fetched at a time by `Statement.pieces`."""

_ENGINES = ("timescale", "postgres")
_HEADER = re.compile(r"^-- (name|part): (\w+)(?:\((\w+(?:, \w+)*)\))?\n", re.MULTILINE)
_INCLUDED = re.compile(r"\{(\w+)(?:\(([^{}]+)\))?\}")
# A single colon before a word; `::type` is a cast.
_PARAMETER = re.compile(r"(?<![:\w]):([a-z]\w*)")


@dataclass(frozen=True, slots=True)
class Statement:
    """One named statement. Its methods raise what asyncpg raises, and TypeError if the parameters do not match."""

    name: str
    text: str
    parameters: tuple[str, ...]

    @classmethod
    def parse(cls, name: str, source: str) -> "Statement":
        """Number the parameters of a statement in the order of their first use."""
        parameters = tuple(dict.fromkeys(_PARAMETER.findall(source)))
        text = _PARAMETER.sub(lambda match: f"${parameters.index(match[1]) + 1}", source)
        return cls(name, text.strip(), parameters)

    async def rows(self, connection: "Connected", **values: Any) -> "list[Record]":
        """All rows of the result."""
        return await connection.fetch(self.text, *self.in_order(values))

    async def row(self, connection: "Connected", **values: Any) -> "Record | None":
        """The first row of the result, None if there is none."""
        return await connection.fetchrow(self.text, *self.in_order(values))

    async def value(self, connection: "Connected", **values: Any) -> Any:
        """The first column of the first row, None if there is none."""
        return await connection.fetchval(self.text, *self.in_order(values))

    async def run(self, connection: "Connected", **values: Any) -> None:
        """Run it, ignoring any result."""
        await connection.execute(self.text, *self.in_order(values))

    async def copy(self, connection: "Connected", **values: Any) -> bytes:
        """All rows of the result, in COPY's binary format."""
        parts: list[bytes] = []

        async def take(part: bytes) -> None:
            parts.append(part)

        query = self.text.removesuffix(";")  # COPY takes it in parentheses
        await connection.copy_from_query(query, *self.in_order(values), output=take, format="binary")
        return b"".join(parts)

    async def pieces(self, connection: "Connected", **values: Any) -> "AsyncGenerator[list[Record], None]":
        """Every row, `PIECE` at a time, as of one moment. The connection must be in a transaction."""
        cursor = await connection.cursor(self.text, *self.in_order(values))
        while piece := await cursor.fetch(PIECE):
            yield piece

    def in_order(self, values: Mapping[str, Any]) -> list[Any]:
        """The values in the order of the statement's parameters. Raises TypeError if the names do not match."""
        if values.keys() != set(self.parameters):
            raise TypeError(f"{self.name} takes {self.parameters}, not {tuple(values)}.")
        return [values[parameter] for parameter in self.parameters]


@dataclass(frozen=True, slots=True)
class Part:
    """Text that statements include; `{word}` in it is replaced by what the including statement supplies."""

    text: str
    words: tuple[str, ...]


@dataclass
class Sources:
    """The statements and parts of some files, by name, as written there."""

    statements: dict[str, str] = field(default_factory=dict)
    parts: dict[str, Part] = field(default_factory=dict)

    @classmethod
    def of(cls, paths: Iterable[Path]) -> "Sources":
        """Read some files. Raises ValueError for a name that occurs twice."""
        found = cls()
        for path in paths:
            _, *pieces = _HEADER.split(path.read_text(encoding="utf-8"))
            for kind, name, words, text in zip(*(pieces[start::4] for start in range(4)), strict=True):
                if name in found.statements or name in found.parts:
                    raise ValueError(f"{path}: the name {name} is taken.")
                if kind == "name":
                    found.statements[name] = text
                else:
                    found.parts[name] = Part(text.strip(), tuple(words.split(", ")) if words else ())
        return found

    def complete(self, text: str) -> str:
        """A text with its parts inserted. Raises KeyError for a part that does not exist."""
        return _INCLUDED.sub(lambda match: self._part(match[1], match[2]), text)

    def _part(self, name: str, given: str | None) -> str:
        part = self.parts[name]
        supplied = given.split("; ") if given else []
        if len(supplied) != len(part.words):
            takes, gets = ", ".join(part.words) or "nothing", given or "nothing"
            raise ValueError(f"The part {name} takes {takes}, but is included with {gets}.")
        text = part.text
        for word, expression in zip(part.words, supplied, strict=True):
            text = text.replace(f"{{{word}}}", expression)
        return self.complete(text)


class Statements:
    """Named statements, as attributes."""

    def __init__(self, sources: Sources, names: Iterable[str] | None = None) -> None:
        self._of_name = {
            name: Statement.parse(name, sources.complete(sources.statements[name]))
            for name in (sources.statements if names is None else names)
        }

    def __getattr__(self, name: str) -> Statement:
        try:
            return self._of_name[name]
        except KeyError:
            raise AttributeError(f"There is no statement named {name}.") from None

    def __iter__(self) -> Iterator[Statement]:
        return iter(self._of_name.values())


def files(folder: Path, *engines: str) -> list[Path]:
    """The SQL files below a folder that are for one of these engines; an empty name stands for files for both.

    Raises ValueError for a file whose name ends in an unknown engine.
    """
    paths = sorted(folder.rglob("*.sql"))
    for path in paths:
        if engine_of(path) not in ("", *_ENGINES):
            raise ValueError(f"{path} is for an unknown engine.")
    return [path for path in paths if engine_of(path) in engines]


def engine_of(path: Path) -> str:
    """The engine that an SQL file is for, empty if for both."""
    return path.stem.partition(".")[2]


@cache
def statements() -> Statements:
    """The statements that are the same for both engines."""
    return Statements(Sources.of(files(SQL / "queries", "")))


@cache
def engine_statements(engine: str) -> Statements:
    """The statements of one engine, `timescale` or `postgres`. They may include shared parts."""
    own = Sources.of(files(SQL / "queries", engine))
    return Statements(Sources.of(files(SQL / "queries", "", engine)), own.statements)
