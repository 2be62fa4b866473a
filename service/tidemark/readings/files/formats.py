"""The formats of files with readings, and how names of files tell them."""

from dataclasses import dataclass
from pathlib import Path

CSV, NDJSON, PARQUET = FORMATS = ("csv", "ndjson", "parquet")

_SUFFIXES = {".csv": CSV, ".ndjson": NDJSON, ".jsonl": NDJSON, ".parquet": PARQUET}
_COMPRESSIONS = {".gz": "gzip", ".zst": "zstd"}


@dataclass(frozen=True, slots=True)
class FileFormat:
    """What is in a file: one of `FORMATS`, and its compression (`gzip`, `zstd` or empty)."""

    name: str
    compression: str = ""


class UnknownFormatError(ValueError):
    """A name that does not tell the format of its file; the message says which ones do."""


def format_of(file: Path, name: str | None = None) -> FileFormat:
    """The format that the name of a file tells, or the one given by name. Raises UnknownFormatError."""
    compression = _COMPRESSIONS.get(file.suffix.lower(), "")
    stem = file.with_suffix("") if compression else file
    found = name or _SUFFIXES.get(stem.suffix.lower())
    if found is None or (found == PARQUET and compression):
        raise UnknownFormatError(
            f"The name {file.name!r} does not tell a format: it ends in {', '.join(_SUFFIXES)}, "
            f"of which the texts may be compressed ({', '.join(_COMPRESSIONS)})."
        )
    return FileFormat(found, compression)
