"""The rooms of the code: which may import which, without a circle, and a map that names all of them."""

import ast
import re
from collections.abc import Iterator, Mapping
from graphlib import TopologicalSorter
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "service" / "tidemark"

_DOMAIN = {"base", "database", "commit", "bodies", "catalog"}
_SURFACE = {"base", "database", "bodies", "catalog", "http"}
MAY_IMPORT = {
    "base": set(),
    "database": {"base"},
    "embedded": {"base"},
    "commit": {"base", "database"},
    "bodies": {"base"},
    "catalog": {"base", "database"},
    "http": {"base", "database", "bodies", "catalog"},
    "readings": _DOMAIN,
    "coldchain": _DOMAIN,
    "web": _DOMAIN,
    "catalog.http": _SURFACE,
    "readings.http": _SURFACE | {"readings"},
    # The measurements of a cooling unit are readings in buckets, like any other series.
    "coldchain.http": _SURFACE | {"coldchain", "readings", "readings.http"},
    "web.http": _SURFACE | {"web"},
}
MAY_IMPORT["server"] = {*MAY_IMPORT}
MAY_IMPORT["demo"] = {"base"}
MAY_IMPORT["cli"] = {*MAY_IMPORT}


def modules() -> Mapping[str, Path]:
    """The modules of the package, by their names within it."""
    paths = (path for path in PACKAGE.rglob("*.py") if path.parent != PACKAGE and path.stem != "__init__")
    return {".".join(path.relative_to(PACKAGE).with_suffix("").parts): path for path in paths}


def room_of(module: str) -> str:
    """The room that a module is in: its domain, or the surface of a domain."""
    first, second, *_ = [*module.split("."), ""]
    return f"{first}.http" if second == "http" and first != "http" else first


def imports(path: Path, known: Mapping[str, Path]) -> Iterator[str]:
    """The modules of the package that a module imports, including those that only its types need."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("tidemark."):
            module = (node.module or "").removeprefix("tidemark.")
            names = [module] if module in known else [f"{module}.{alias.name}" for alias in node.names]
            yield from (name for name in names if name in known)


def test_rooms_import_only_those_below_them() -> None:
    known = modules()
    upward = [
        f"{module} imports {imported}"
        for module, path in known.items()
        for imported in imports(path, known)
        if room_of(imported) not in {room_of(module), *MAY_IMPORT[room_of(module)]}
    ]
    assert upward == []


def test_no_rooms_and_no_modules_import_in_a_circle() -> None:
    known = modules()
    TopologicalSorter(MAY_IMPORT).prepare()  # raises CycleError, which names the circle
    TopologicalSorter({module: set(imports(path, known)) for module, path in known.items()}).prepare()


def test_the_map_names_every_room_and_no_other() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    named = re.findall(r"^\| `([\w/]+)/` \|", page, re.MULTILINE)
    rooms = {path.parent.relative_to(PACKAGE) for path in modules().values()}
    assert sorted(named) == sorted(str(room) for room in rooms)
