"""The SQL of the project: files with named statements under `sql/`, each under a header `-- name: NAME`.

Parameters are written `:name` and given by name; one that stands in a statement twice is sent once.
"""

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from asyncpg import Record

    from tidemark.database.database import Connected

# An installed package carries `sql/` inside itself, a checkout has it beside `service/`.
_PACKAGE = Path(__file__).resolve().parents[1]
SQL = next(folder for folder in (_PACKAGE / "sql", _PACKAGE.parents[1] / "sql") if folder.is_dir())

_HEADER = re.compile(r"^-- name: (\w+)\n", re.MULTILINE)
# A single colon before a word; `::type` is a cast.
_PARAMETER = re.compile(r"(?<![:\w]):([a-z]\w*)")


@dataclass(frozen=True, slots=True)
class Statement:
    """One named statement; its methods raise what asyncpg raises."""

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

    def in_order(self, values: dict[str, Any]) -> list[Any]:
        """The values of the parameters as the statement numbers them; raises TypeError where they are not its own."""
        if len(values) != len(self.parameters):
            raise TypeError(f"{self.name} takes {self.parameters}, not {tuple(values)}.")
        return [values[parameter] for parameter in self.parameters]


class Statements:
    """The statements of one folder, as attributes."""

    def __init__(self, folder: Path) -> None:
        self._of_name: dict[str, Statement] = {}
        for path in sorted(folder.glob("*.sql")):
            _, *parts = _HEADER.split(path.read_text(encoding="utf-8"))
            for name, source in zip(parts[::2], parts[1::2], strict=True):
                if name in self._of_name:
                    raise ValueError(f"{path}: there are two statements named {name}.")
                self._of_name[name] = Statement.parse(name, source)

    def __getattr__(self, name: str) -> Statement:
        try:
            return self._of_name[name]
        except KeyError:
            raise AttributeError(f"There is no statement named {name}.") from None


@cache
def statements() -> Statements:
    """The statements that both engines share."""
    return Statements(SQL / "queries")


@cache
def engine_statements(engine: str) -> Statements:
    """The statements that differ between the engines, for `timescale` or `postgres`."""
    return Statements(SQL / "queries" / engine)
