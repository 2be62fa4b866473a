"""Commands and the data directory: a command run in the wrong folder says so and leaves nothing behind."""

import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.parametrize(
    "command",
    [
        "status",
        "migrate",
        "org list",
        "org rotate-key",
        "sensor create",
        "sensor list",
        "token list",
        "export",
        "database",
    ],
)
def test_a_folder_without_data_gets_none(command: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tidemark", *command.split()],
        cwd=tmp_path,
        env={"PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.startswith(f"tidemark: There are no data in {tmp_path / '.tidemark'}.")
    assert "TIDEMARK_DATA_DIR" in done.stderr
    assert "TIDEMARK_DATABASE_URL" in done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("command", "postgres_bin", "message"),
    [
        ("org create Farm", "/nope", "TIDEMARK_POSTGRES_BIN: /nope does not hold"),
        ("database --create", "/nope", "TIDEMARK_POSTGRES_BIN: /nope does not hold"),
        ("org create Farm --timezone Mars/Base", "", "--timezone must be an IANA time zone"),
    ],
)
def test_what_is_refused_leaves_no_data_directory(
    command: str, postgres_bin: str, message: str, tmp_path: Path
) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tidemark", *command.split()],
        cwd=tmp_path,
        env={"PATH": "/usr/bin:/bin", "TIDEMARK_POSTGRES_BIN": postgres_bin},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.startswith(f"tidemark: {message}")
    assert list(tmp_path.iterdir()) == []
