"""There is no unused code."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def vulture(*paths: Path) -> "subprocess.CompletedProcess[str]":
    """Run vulture with the rules of pyproject.toml, on these paths or on those named there."""
    command = [sys.executable, "-m", "vulture", "--config", str(ROOT / "pyproject.toml"), *map(str, paths)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def test_nothing_is_defined_that_nobody_uses() -> None:
    found = vulture()
    assert (found.stdout + found.stderr, found.returncode) == ("", 0)


def test_what_nobody_uses_is_found(tmp_path: Path) -> None:
    source = tmp_path / "stale.py"
    source.write_text("def nobody_calls_this() -> None:\n    pass\n")
    found = vulture(source)
    assert "nobody_calls_this" in found.stdout
    assert found.returncode != 0
