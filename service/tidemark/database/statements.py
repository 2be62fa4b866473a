"""The SQL of the project: files with named statements under `sql/`, each under a header `-- name: NAME`.

Parameters are written `:name` and given by name; one that stands in a statement twice is sent once. What several
statements have in common stands once, under a header `-- part: NAME`, and is included as `{NAME}`. A part may have a
word that differs: under `-- part: NAME(word)` it writes `{word}`, and `{NAME(ts DESC)}` says what stands there.

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

# An installed package carries `sql/` inside itself, a checkout has it beside `service/`.
_PACKAGE = Path(__file__).resolve().parents[1]
SQL = next(folder for folder in (_PACKAGE / "sql", _PACKAGE.parents[1] / "sql") if folder.is_dir())

PIECE = 5_000
"""Rows of a piece, where an answer is read piece by piece."""

_ENGINES = ("timescale", "postgres")
_HEADER = re.compile(r"^-- (name|part): (\w+)(?:\((\w+)\))?\n", re.MULTILINE)
_INCLUDED = re.compile(r"\{(\w+)(?:\(([^{}]+)\))?\}")
# A single colon before a word; `::type` is a cast.
_PARAMETER = re.compile(r"(?<![:\w]):([a-z]\w*)")


@dataclass(frozen=True, slots=True)
class Statement:
    """One named statement; its methods raise what asyncpg raises, and TypeError for parameters that are not its own."""

    name: str
    text: str
    parameters: tuple[str, ...]

    @classmethod
    def parse(cls, name: str, source: str) -> "Statement":
        """Number the parameters of a statement in the order in which they first stand in it."""
        parameters = tuple(dict.fromkeys(_PARAMETER.findall(source)))
        text = _PARAMETER.sub(lambda match: f"${parameters.index(match[1]) + 1}", source)
        return cls(name, text.strip(), parameters)

    async def rows(self, connection: "Connected", **values: Any) -> "list[Record]":
        """Every row of the answer."""
        return await connection.fetch(self.text, *self.in_order(values))

    async def row(self, connection: "Connected", **values: Any) -> "Record | None":
        """The first row of the answer, None where there is none."""
        return await connection.fetchrow(self.text, *self.in_order(values))

    async def value(self, connection: "Connected", **values: Any) -> Any:
        """The first column of the first row, None where there is none."""
        return await connection.fetchval(self.text, *self.in_order(values))

    async def run(self, connection: "Connected", **values: Any) -> None:
        """Carry it out; no answer is wanted."""
        await connection.execute(self.text, *self.in_order(values))

    async def pieces(self, connection: "Connected", **values: Any) -> "AsyncGenerator[list[Record], None]":
        """Every row in pieces, as of one moment, which is that of the transaction this needs to be in."""
        cursor = await connection.cursor(self.text, *self.in_order(values))
        while piece := await cursor.fetch(PIECE):
            yield piece

    def in_order(self, values: Mapping[str, Any]) -> list[Any]:
        """The values of the parameters as the statement numbers them; raises TypeError where they are not its own."""
        if values.keys() != set(self.parameters):
            raise TypeError(f"{self.name} takes {self.parameters}, not {tuple(values)}.")
        return [values[parameter] for parameter in self.parameters]


@dataclass(frozen=True, slots=True)
class Part:
    """What statements include; `{word}` in its text stands for what the including statement says."""

    text: str
    word: str | None


@dataclass
class Sources:
    """What files of statements hold, by name, as it is written there."""

    statements: dict[str, str] = field(default_factory=dict)
    parts: dict[str, Part] = field(default_factory=dict)

    @classmethod
    def of(cls, paths: Iterable[Path]) -> "Sources":
        """The statements and parts of some files. Raises ValueError where two have one name."""
        found = cls()
        for path in paths:
            _, *pieces = _HEADER.split(path.read_text(encoding="utf-8"))
            for kind, name, word, text in zip(*(pieces[place::4] for place in range(4)), strict=True):
                if name in found.statements or name in found.parts:
                    raise ValueError(f"{path}: {name} is there already.")
                if kind == "name":
                    found.statements[name] = text
                else:
                    found.parts[name] = Part(text.strip(), word)
        return found

    def complete(self, text: str) -> str:
        """A text with all parts that it includes. Raises KeyError for one that does not exist."""
        return _INCLUDED.sub(lambda match: self._part(match[1], match[2]), text)

    def _part(self, name: str, given: str | None) -> str:
        part = self.parts[name]
        if (part.word is None) != (given is None):
            raise ValueError(f"The part {name} is included with a word that it does not have, or without its own.")
        return self.complete(part.text if given is None else part.text.replace(f"{{{part.word}}}", given))


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
    """The SQL files of a folder and its rooms: those for both engines (``), and those for each named one.

    Raises ValueError for a file that is named after an engine that does not exist.
    """
    paths = sorted(folder.rglob("*.sql"))
    for path in paths:
        if engine_of(path) not in ("", *_ENGINES):
            raise ValueError(f"{path} is for an engine that does not exist.")
    return [path for path in paths if engine_of(path) in engines]


def engine_of(path: Path) -> str:
    """The engine that an SQL file is for; empty for both."""
    return path.stem.partition(".")[2]


@cache
def statements() -> Statements:
    """The statements that both engines share."""
    return Statements(Sources.of(files(SQL / "queries", "")))


@cache
def engine_statements(engine: str) -> Statements:
    """The statements that differ between the engines, for `timescale` or `postgres`; their parts may be shared."""
    own = Sources.of(files(SQL / "queries", engine))
    return Statements(Sources.of(files(SQL / "queries", "", engine)), own.statements)
