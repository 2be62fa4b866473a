"""Commands in locales that are neither UTF-8 nor ASCII."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import Run
from tests.conftest import Service, Tenant


def python(*arguments: str, **environment: str) -> "subprocess.CompletedProcess[bytes]":
    command = [sys.executable, *arguments]
    return subprocess.run(command, env={**os.environ, **environment}, capture_output=True, check=False)


def test_what_the_encoding_does_not_have_is_printed_as_an_escape(
    tidemark: Run, service: Service, tenant: Tenant
) -> None:
    org = ("--org", str(tenant.company_id))
    tidemark("sensor", "create", "--id", "latin", "--name", "température", *org)
    tidemark("sensor", "create", "--id", "other", "--name", "温度", *org)
    latin = {**service.environment, "PYTHONIOENCODING": "latin-1"}
    table = python("-m", "tidemark", "sensor", "list", *org, **latin)
    assert table.returncode == 0, table.stderr
    assert "température" in table.stdout.decode("latin-1")
    assert r"\u6e29\u5ea6" in table.stdout.decode("latin-1")
    usage = python("-m", "tidemark", "--help", **latin)
    assert (usage.returncode, rb"TIDEMARK_\u2026" in usage.stdout) == (0, True)


def test_no_file_is_read_in_the_encoding_of_the_locale_at_the_start() -> None:
    done = python("-X", "warn_default_encoding", "-W", "error::EncodingWarning", "-c", "import tidemark.cli.main")
    assert done.returncode == 0, done.stderr.decode()


@pytest.mark.skipif(
    not (shutil.which("localedef") and Path("/usr/share/i18n/locales/ja_JP").exists()),
    reason="localedef or the source of the locale is missing; a locale without UTF-8 was NOT TESTED",
)
def test_a_japanese_locale_without_utf_8(tmp_path: Path) -> None:
    locale = "ja_JP.EUC-JP"
    subprocess.run(["localedef", "-f", "EUC-JP", "-i", "ja_JP", str(tmp_path / locale)], check=False)
    there = {"LOCPATH": str(tmp_path), "LC_ALL": locale, "PYTHONUTF8": "0"}
    assert python("-c", "import locale; print(locale.getencoding())", **there).stdout == b"EUC-JP\n"
    usage = python("-m", "tidemark", "--help", **there)
    assert usage.returncode == 0, usage.stderr.decode("euc-jp")
    assert "TIDEMARK_…" in usage.stdout.decode("euc-jp")
