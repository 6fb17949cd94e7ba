"""What a user gets who installs Bakeoff from a wheel: all of it, anywhere."""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest
import uv

import bakeoff
from bakeoff.environments.creation import install_arguments, uv_environment

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.slow


@dataclass(frozen=True)
class Built:
    """The two forms in which Bakeoff is handed on."""

    wheel: Path
    sdist: Path


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    """The sdist of this checkout, and the wheel made from that sdist."""
    out = tmp_path_factory.mktemp("dist")
    _uv("build", "--quiet", "--python", sys.executable, "--out-dir", str(out), str(ROOT))
    return Built(next(out.glob("*.whl")), next(out.glob("*.tar.gz")))


def _uv(*command: str, **variables: str) -> None:
    """uv with packages from where pip would get them."""
    done = subprocess.run(
        [uv.find_uv_bin(), *command, *install_arguments()],
        env=uv_environment() | variables,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def _files_of_the_packages() -> set[str]:
    return {
        path.relative_to(ROOT / "src").as_posix()
        for package in ("bakeoff", "bakeoff_worker")
        for path in (ROOT / "src" / package).rglob("*")
        if path.is_file() and path.suffix != ".pyc"
    }


def test_every_file_of_both_packages_travels(built: Built) -> None:
    expected = _files_of_the_packages()
    for needed in (
        "bakeoff/environments/locks/vintage.txt",
        "bakeoff/studies/paper.toml",
        "bakeoff/datasets/catalogue.json",
        "bakeoff_worker/__main__.py",
    ):
        assert needed in expected
    with zipfile.ZipFile(built.wheel) as wheel:
        names = {name for name in wheel.namelist() if ".dist-info/" not in name}
    assert names == expected
    with tarfile.open(built.sdist) as sdist:
        inside = {name.partition("/")[2] for name in sdist.getnames()}
    assert {f"src/{name}" for name in expected} | {"LICENSE", "README.md", "pyproject.toml"} <= inside


@pytest.mark.parametrize("way", [pytest.param("pip", marks=pytest.mark.exhaustive), "uv tool"])
def test_an_installed_bakeoff_behaves_as_the_checkout_does(built: Built, way: str, tmp_path: Path) -> None:
    if way == "pip":
        subprocess.run([sys.executable, "-m", "venv", tmp_path / "venv"], check=True)
        programs = tmp_path / "venv" / "bin"
        install = [programs / "python", "-m", "pip", "install", "--quiet", built.wheel]
        subprocess.run(install, check=True, cwd=tmp_path)
    else:
        programs = tmp_path / "bin"
        places = {"UV_TOOL_DIR": str(tmp_path / "tools"), "UV_TOOL_BIN_DIR": str(programs)}
        _uv("tool", "install", "--quiet", "--python", sys.executable, str(built.wheel), **places)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    environ = {
        name: value for name, value in os.environ.items() if not name.startswith(("BAKEOFF_", "PYTHON"))
    }
    environ["BAKEOFF_CACHE"] = str(tmp_path / "cache")

    def ran(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [programs / "bakeoff", *arguments]
        done = subprocess.run(
            command, cwd=elsewhere, env=environ, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return done

    def said(*arguments: str) -> str:
        return ran(*arguments).stdout

    assert said("--version").strip() == f"bakeoff {bakeoff.__version__}"
    assert {"quick", "paper", "paper-today", "sweep"} <= {
        line.split()[0] for line in said("studies").splitlines() if line
    }
    assert "vintage" in said("env", "list")
    assert "fashion_mnist" in said("data", "list")
    assert "time:" in said("plan", "paper")
    assert "4/4" in ran("run", "smoke", "--no-report").stderr  # progress
    report = said("run", "smoke").splitlines()[-1]  # nothing left to run: its screen and its report again
    assert report == f"Report: {(elsewhere / 'smoke-report.html').resolve().as_uri()}"
    assert (elsewhere / "smoke-report.html").stat().st_size > 10_000
