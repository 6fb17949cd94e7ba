"""Interpreters that the user brings."""

import json
import platform
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

from bakeoff import environments
from bakeoff.environments import foreign
from bakeoff.errors import EnvironmentFailure
from bakeoff.study import EnvironmentRequest


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BAKEOFF_CACHE", str(tmp_path / "cache"))


def script(path: Path, text: str) -> Path:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


def test_what_it_has_is_found_by_running_it() -> None:
    facts = foreign.examine("mine", Path(sys.executable), ("numpy", "json"))
    assert facts.version == platform.python_version()
    assert facts.packages["numpy"] == metadata.version("numpy")
    assert (facts.site_packages / "numpy").is_dir()


def test_its_digest_names_what_was_found(tmp_path: Path) -> None:
    request = EnvironmentRequest("mine", python=Path(sys.executable))
    mine = environments.ensure("mine", request=request, backend="fake")
    assert (mine.kind, mine.python) == ("external", Path(sys.executable))
    assert mine.digest == environments.ensure("mine", request=request).digest
    assert mine.scratch == tmp_path / "cache" / "scratch" / f"mine-{mine.digest[:12]}"
    assert mine.scratch.is_dir()
    facts = foreign.ExternalFacts("3.11.7", "CPython", {"keras": "3.1", "numpy": "2.0"}, Path())
    reordered = foreign.ExternalFacts("3.11.7", "CPython", {"numpy": "2.0", "keras": "3.1"}, Path("/a"))
    other = foreign.ExternalFacts("3.11.7", "CPython", {"keras": "3.2", "numpy": "2.0"}, Path())
    assert facts.digest == reordered.digest != other.digest


def test_a_missing_framework_is_named() -> None:
    request = EnvironmentRequest("mine", python=Path(sys.executable))
    with pytest.raises(EnvironmentFailure, match="without keras, theano") as raised:
        environments.ensure("mine", request=request, backend="theano")
    assert "uv pip install --python" in raised.value.hint


def test_an_environment_without_numpy_is_told(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(tmp_path / "bare")], check=True)
    request = EnvironmentRequest("bare", python=tmp_path / "bare" / "bin" / "python")
    with pytest.raises(EnvironmentFailure, match="without numpy"):
        environments.ensure("bare", request=request)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(EnvironmentFailure, match="no such file"):
        foreign.examine("mine", tmp_path / "python", ())


def test_a_file_that_is_not_executable(tmp_path: Path) -> None:
    (tmp_path / "python").touch()
    with pytest.raises(EnvironmentFailure, match="not an executable file"):
        foreign.examine("mine", tmp_path / "python", ())
    with pytest.raises(EnvironmentFailure, match="not an executable file"):
        foreign.examine("mine", tmp_path, ())


def test_a_program_that_is_no_python_keeps_its_last_words(tmp_path: Path) -> None:
    with pytest.raises(EnvironmentFailure, match="does not run as a Python") as raised:
        foreign.examine("mine", script(tmp_path / "python", "echo libpython.so: not found >&2; exit 127"), ())
    assert "libpython.so: not found" in raised.value.message


def test_a_python_older_than_the_worker(tmp_path: Path) -> None:
    answer = json.dumps({"version": [2, 7, 18], "implementation": "CPython", "packages": {}, "missing": []})
    with pytest.raises(EnvironmentFailure, match=r"is Python 2\.7\.18; expected 3\.7 or newer"):
        foreign.examine("mine", script(tmp_path / "python", f"echo '{answer}'"), ())


def test_a_python_that_never_answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(foreign, "_ANSWER_S", 0.3)
    with pytest.raises(EnvironmentFailure, match="no answer within"):
        foreign.examine("mine", script(tmp_path / "python", "exec sleep 60"), ())


def test_chatter_before_the_answer_is_passed_over(tmp_path: Path) -> None:
    chatty = script(tmp_path / "python", f'echo welcome to the cluster; exec {sys.executable} "$@"')
    assert foreign.examine("mine", chatty, ("numpy",)).version == platform.python_version()
