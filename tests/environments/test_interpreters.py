"""Finding interpreters on machines made up of folders."""

import os
import sys
from pathlib import Path

import pytest

from bakeoff.environments import interpreters
from bakeoff.errors import EnvironmentFailure

FACTS = '{"path": "%s", "version": "%s", "implementation": "%s", "bits": %d, "headers": %s}'


def python(
    path: Path,
    version: str,
    *,
    implementation: str = "CPython",
    bits: int = 64,
    headers: bool = True,
    runs: bool = True,
) -> Path:
    """A program that answers as that Python would, or fails as pyenv's shims do."""
    path.parent.mkdir(parents=True, exist_ok=True)
    facts = FACTS % (path, version, implementation, bits, str(headers).lower())
    failure = 'echo "pyenv: python3.4: command not found" >&2; exit 127'
    path.write_text(f"#!/bin/sh\n{'echo' if runs else ':'} '{facts}'\n{'' if runs else failure}\n")
    path.chmod(0o755)
    return path


@pytest.fixture
def machine(tmp_path: Path) -> dict[str, str]:
    """Variables of a machine with an empty home, nothing on PATH, and uv without Pythons and network."""
    (tmp_path / "home").mkdir()
    return {
        "HOME": str(tmp_path / "home"),
        "PATH": "",
        "UV_PYTHON_INSTALL_DIR": str(tmp_path / "uv"),
        "UV_OFFLINE": "1",
        "UV_NO_CONFIG": "1",
    }


def test_ours_comes_first_and_is_not_the_virtual_environments_own(machine: dict[str, str]) -> None:
    found = interpreters.find("{}.{}".format(*sys.version_info), environ=machine).found
    assert found is not None
    assert found.path.samefile(Path(sys.base_prefix) / "bin" / found.path.name)


def test_path_is_searched_by_full_and_by_short_name(tmp_path: Path, machine: dict[str, str]) -> None:
    full = python(tmp_path / "a" / "python3.4", "3.4.10")
    short = python(tmp_path / "b" / "python3", "3.5.2")
    machine["PATH"] = f"{tmp_path / 'a'}{os.pathsep}{tmp_path / 'b'}"
    assert interpreters.find("3.4", environ=machine).found == interpreters.Interpreter(full, "3.4.10", True)
    assert interpreters.find("3.5", environ=machine).found == interpreters.Interpreter(short, "3.5.2", True)


@pytest.mark.parametrize("place", ["named", "at home", "behind the shims"])
def test_pyenv_is_found_by_its_real_paths(place: str, tmp_path: Path, machine: dict[str, str]) -> None:
    root = tmp_path / "home" / ".pyenv" if place == "at home" else tmp_path / "elsewhere" / ".pyenv"
    python(root / "shims" / "python3.4", "3.4.10", runs=False)
    python(root / "versions" / "3.4.9" / "bin" / "python3.4", "3.4.9")
    newest = python(root / "versions" / "3.4.10" / "bin" / "python3.4", "3.4.10")
    if place == "named":
        machine["PYENV_ROOT"] = str(root)
    if place == "behind the shims":
        machine["PATH"] = str(root / "shims")
    search = interpreters.find("3.4", environ=machine)
    assert search.found is not None
    assert search.found.path == newest
    assert search.rejected == ()


def test_conda_environments_are_searched(tmp_path: Path, machine: dict[str, str]) -> None:
    there = python(tmp_path / "home" / "miniconda3" / "envs" / "old" / "bin" / "python3.4", "3.4.1")
    found = interpreters.find("3.4", environ=machine).found
    assert found is not None
    assert found.path == there


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ({"version": "3.5.1"}, "is Python 3.5.1, not 3.4"),
        ({"version": "3.4.1", "implementation": "PyPy"}, "is a 64-bit PyPy, not a 64-bit CPython"),
        ({"version": "3.4.1", "bits": 32}, "is a 32-bit CPython, not a 64-bit CPython"),
        ({"version": "3.4.1", "headers": False}, "has no headers (Python.h)"),
        ({"version": "3.4.1", "runs": False}, "exit status 127: pyenv: python3.4: command not found"),
    ],
)
def test_what_will_not_do_is_passed_over_with_its_reason(
    answer: dict[str, object], reason: str, tmp_path: Path, machine: dict[str, str]
) -> None:
    python(tmp_path / "a" / "python3.4", **answer)  # type: ignore[arg-type]
    good = python(tmp_path / "b" / "python3.4", "3.4.7")
    machine["PATH"] = f"{tmp_path / 'a'}{os.pathsep}{tmp_path / 'b'}"
    search = interpreters.find("3.4", headers=True, environ=machine)
    assert search.found is not None
    assert search.found.path == good
    assert len(search.rejected) == 1
    assert reason in search.rejected[0]


def test_a_missing_one_is_told_with_what_was_looked_at(tmp_path: Path, machine: dict[str, str]) -> None:
    python(tmp_path / "a" / "python3.4", "3.4.1", headers=False)
    machine["PATH"] = str(tmp_path / "a")
    with pytest.raises(EnvironmentFailure) as raised:
        interpreters.obtain("3.4", headers=True, environ=machine)
    assert "no Python 3.4 with headers" in raised.value.message
    assert "has no headers" in raised.value.message
    assert "pyenv install 3.4" in raised.value.hint
