"""The package as users install it: a wheel, with pip, outside the checkout."""

import os
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

from tests.conftest import Service, free_port, wait_until_ready

ROOT = Path(__file__).resolve().parents[1]


def run(*command: str | Path) -> None:
    """Run a program, which must succeed."""
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_an_installed_wheel_serves_on_the_embedded_server(tmp_path: Path) -> None:
    run(sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", tmp_path)
    (wheel,) = tmp_path.glob("tidemarkdb-*.whl")
    top = {name.split("/")[0] for name in zipfile.ZipFile(wheel).namelist()}
    assert {name for name in top if not name.endswith(".dist-info")} == {"tidemark"}

    home = tmp_path / "venv"
    venv.create(home)
    base = Path(sys.base_prefix) / "bin" / "python3"
    run(base, "-m", "pip", "--python", home / "bin" / "python", "install", "--quiet", "--no-deps", "--no-index", wheel)
    # The dependencies come from this environment. Its own copy of the package does not, since that is a link.
    dependencies = Path(sysconfig.get_path("purelib", vars={"base": str(home)})) / "dependencies.pth"
    dependencies.write_text(f"{sysconfig.get_path('purelib')}\n")

    port = free_port()
    settings = {"TIDEMARK_DATA_DIR": str(tmp_path / "data"), "TIDEMARK_PORT": str(port)}
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("TIDEMARK_", "PYTHON"))}
    output = tmp_path / "output"
    with (
        output.open("w") as log,
        subprocess.Popen(
            [home / "bin" / "tidemark", "serve"],
            cwd=tmp_path,
            env=inherited | settings,
            stdout=log,
            stderr=subprocess.STDOUT,
            text=True,
        ) as process,
    ):
        service = Service(process, port, None, settings, output)
        wait_until_ready(service)
        assert service.stop() == 0
    assert "organization key" in output.read_text()
