"""The formats of files of readings, and how they are recognized by file name."""

from dataclasses import dataclass
from pathlib import Path

CSV, NDJSON, PARQUET = FORMATS = ("csv", "ndjson", "parquet")

_SUFFIXES = {".csv": CSV, ".ndjson": NDJSON, ".jsonl": NDJSON, ".parquet": PARQUET}
_COMPRESSIONS = {".gz": "gzip", ".zst": "zstd"}


@dataclass(frozen=True, slots=True)
class FileFormat:
    """The format of a file: its name, one of `FORMATS`, and its compression (`gzip`, `zstd` or empty)."""

    name: str
    compression: str = ""


class UnknownFormatError(ValueError):
    """A file name from which no format can be told; the message lists the supported ones."""


def format_of(file: Path, name: str | None = None) -> FileFormat:
    """The format `name` if given, else the one that the name of the file implies. Raises UnknownFormatError."""
    compression = _COMPRESSIONS.get(file.suffix.lower(), "")
    stem = file.with_suffix("") if compression else file
    found = name or _SUFFIXES.get(stem.suffix.lower())
    if found is None or (found == PARQUET and compression):
        raise UnknownFormatError(
            f"The file name {file.name!r} does not imply a supported format: it must end in {', '.join(_SUFFIXES)}; "
            f"CSV and NDJSON may be compressed ({', '.join(_COMPRESSIONS)})."
        )
    return FileFormat(found, compression)
