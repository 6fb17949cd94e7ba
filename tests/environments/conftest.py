"""Tiny real environments: wheels made here, found the way pip's settings say."""

import hashlib
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from bakeoff.study import EnvironmentRequest

OURS = "{}.{}".format(*sys.version_info)

MakeWheel = Callable[[str, str], str]
MakeRequest = Callable[..., EnvironmentRequest]


@pytest.fixture
def wheels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that is the only place where packages come from; caches of our own."""
    folder = tmp_path / "wheels"
    folder.mkdir()
    monkeypatch.setenv("BAKEOFF_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "uv"))
    monkeypatch.setenv("UV_NO_CONFIG", "1")
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    return folder


@pytest.fixture
def make_wheel(wheels: Path) -> MakeWheel:
    """Make a wheel with one module; gives its SHA-256."""

    def make(name: str, version: str) -> str:
        path = wheels / f"{name}-{version}-py3-none-any.whl"
        info = f"{name}-{version}.dist-info"
        with zipfile.ZipFile(path, "w") as wheel:
            wheel.writestr(f"{name}.py", f'VERSION = "{version}"\n')
            wheel.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
            wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
            wheel.writestr(
                f"{info}/RECORD", f"{name}.py,,\n{info}/METADATA,,\n{info}/WHEEL,,\n{info}/RECORD,,\n"
            )
        return hashlib.sha256(path.read_bytes()).hexdigest()

    return make


@pytest.fixture
def request_for(tmp_path: Path) -> MakeRequest:
    """A study's request for an environment from a lock with these lines."""

    def make(*lines: str, name: str = "tiny") -> EnvironmentRequest:
        lock = tmp_path / f"{name}.txt"
        lock.write_text("".join(f"{line}\n" for line in lines))
        return EnvironmentRequest(name, lock=lock, python_version=OURS)

    return make
