"""Fixtures for running commands."""

import json
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

from tests.conftest import Service

Run = Callable[..., Any]


@pytest.fixture
def tidemark(service: Service) -> Run:
    """Run a command on the shared service's database; returns its output, by default parsed as JSON."""

    def run(*arguments: str, code: int = 0, json_output: bool = True) -> Any:
        done = subprocess.run(
            [sys.executable, "-m", "tidemark", *arguments, *(["--json"] if json_output else [])],
            env={"PATH": "/usr/bin:/bin", **service.environment},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == code, done.stderr
        return json.loads(done.stdout) if json_output else done.stdout

    return run
