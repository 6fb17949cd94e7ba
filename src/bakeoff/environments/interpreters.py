"""Python interpreters on this machine: where they may be, and whether each really is what it seems."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import uv

from bakeoff.errors import EnvironmentFailure

_ASK = """
import json, os, platform, sys, sysconfig
print(json.dumps({
    "path": getattr(sys, "_base_executable", None) or sys.executable,
    "version": platform.python_version(),
    "implementation": platform.python_implementation(),
    "bits": 64 if sys.maxsize > 2 ** 32 else 32,
    "headers": os.path.isfile(os.path.join(sysconfig.get_paths()["include"], "Python.h")),
}))
"""
_ANSWER_S = 20.0  # a loaded machine, a cold disk
_DOWNLOAD_S = 300.0  # 30 MB; an unreachable host fails in seconds, see _download


@dataclass(frozen=True)
class Interpreter:
    """A CPython that was run and answered. version: such as ``3.11.7``. headers: it has Python.h."""

    path: Path
    version: str
    headers: bool


@dataclass(frozen=True)
class Search:
    """What a search found. rejected: one line for each candidate that would not do, saying why."""

    found: Interpreter | None
    rejected: tuple[str, ...]


def find(version: str, *, headers: bool = False, environ: Mapping[str, str] = os.environ) -> Search:
    """The first working 64-bit CPython of a minor version (``3.11``); nothing is downloaded.

    headers: it must bring Python.h.
    """
    rejected: list[str] = []
    seen: set[Path] = set()
    for candidate in candidates(version, environ):
        real = candidate.resolve()
        if real in seen:
            continue
        seen.add(real)
        found, reason = _examine(candidate, version, headers)
        if found:
            return Search(found, tuple(rejected))
        rejected.append(f"{candidate}: {reason}")
    return Search(None, tuple(rejected))


def check(version: str, *, headers: bool = False, environ: Mapping[str, str] = os.environ) -> None:
    """Pass if `find` finds one.

    Raises:
        EnvironmentFailure: there is none; says which were looked at. `obtain` may still download one.
    """
    search = find(version, headers=headers, environ=environ)
    if search.found is None:
        raise _missing(version, headers, "", search)


def obtain(version: str, *, headers: bool = False, environ: Mapping[str, str] = os.environ) -> Interpreter:
    """As `find`, and where nothing is found, downloaded by uv if the network allows.

    Raises:
        EnvironmentFailure: there is none; says which were looked at and why the download failed.
    """
    search = find(version, headers=headers, environ=environ)
    if search.found:
        return search.found
    problem = _download(version, environ)
    if not problem:
        search = find(version, headers=headers, environ=environ)
        if search.found:
            return search.found
        problem = "uv downloaded one, but it can't be used"
    raise _missing(version, headers, f", and uv could not download one: {problem}", search)


def _missing(version: str, headers: bool, problem: str, search: Search) -> EnvironmentFailure:
    looked_at = "".join(f"\n  {line}" for line in search.rejected)
    need = " with headers (Python.h)" if headers else ""
    return EnvironmentFailure(
        f"no Python {version}{need} on this machine{problem}{looked_at}",
        f"Install Python {version}: `pyenv install {version}`, `uv python install {version}` (uv no longer "
        f"offers the oldest), conda, or the system's packages{', the -dev package too' if headers else ''}.",
    )


def candidates(version: str, environ: Mapping[str, str]) -> Iterator[Path]:
    """Files that should be a Python of that minor version, best first; some may be the same one.

    Ours, then PATH, pyenv, conda, and uv's own. pyenv's shims are left out: they fail unless a version
    is selected.
    """
    name = f"python{version}"
    if version == "{}.{}".format(*sys.version_info):
        yield Path(sys.executable)
    pyenv_roots = _pyenv_roots(environ)
    folders = [Path(folder) for folder in environ.get("PATH", "").split(os.pathsep) if folder]
    for folder in folders:
        if folder.name != "shims":
            yield from _executables(folder / name, folder / "python3", folder / "python")
    for root in pyenv_roots:
        for home in sorted((root / "versions").glob(f"{version}*"), key=_patch, reverse=True):
            yield from _executables(home / "bin" / name)
    for prefix in _conda_prefixes(environ):
        for home in (prefix, *sorted((prefix / "envs").glob("*"))):
            yield from _executables(home / "bin" / name)
    found = _uv(
        ["python", "find", "--managed-python", "--no-python-downloads", "--no-project", version], environ
    )
    if found.returncode == 0:
        yield Path(found.stdout.strip())


def _examine(candidate: Path, version: str, headers: bool) -> tuple[Interpreter | None, str]:
    """The interpreter, or why it won't do."""
    try:
        answer = subprocess.run(
            [candidate, "-I", "-c", _ASK], capture_output=True, text=True, timeout=_ANSWER_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return None, f"does not run ({error})"
    if answer.returncode != 0:
        lines = answer.stderr.strip().splitlines() or ["no output"]
        return None, f"does not run (exit status {answer.returncode}: {lines[-1]})"
    try:
        facts = json.loads(answer.stdout.splitlines()[-1])
    except (ValueError, IndexError):
        return None, "does not answer like a Python"
    if facts["version"].split(".")[:2] != version.split(".")[:2]:
        return None, f"is Python {facts['version']}, not {version}"
    if facts["implementation"] != "CPython" or facts["bits"] != 64:
        return None, f"is a {facts['bits']}-bit {facts['implementation']}, not a 64-bit CPython"
    if headers and not facts["headers"]:
        return None, "has no headers (Python.h)"
    return Interpreter(Path(facts["path"]), facts["version"], facts["headers"]), ""


def _download(version: str, environ: Mapping[str, str]) -> str:
    """Why uv could not download that Python; empty if it did."""
    quick = {"UV_HTTP_TIMEOUT": "10", "UV_HTTP_RETRIES": "1"}  # say no in seconds where there is no network
    try:
        done = _uv(["python", "install", "--no-bin", version], {**quick, **environ}, _DOWNLOAD_S)
    except subprocess.TimeoutExpired:
        return f"not finished after {_DOWNLOAD_S:.0f} s"
    if done.returncode == 0:
        return ""
    lines = [line.strip() for line in done.stderr.splitlines() if line.strip()]
    return " ".join(lines[-3:]) or f"exit status {done.returncode}"


def _uv(
    arguments: list[str], environ: Mapping[str, str], timeout_s: float = _ANSWER_S
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [uv.find_uv_bin(), *arguments],
        env=dict(environ),
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
    )


def _executables(*paths: Path) -> Iterator[Path]:
    return (path for path in paths if path.is_file() and os.access(path, os.X_OK))


def _pyenv_roots(environ: Mapping[str, str]) -> list[Path]:
    """pyenv's folders: named, at home, or behind a ``.pyenv/shims`` on PATH."""
    shims = [
        Path(entry) for entry in environ.get("PATH", "").split(os.pathsep) if Path(entry).name == "shims"
    ]
    home = Path(environ.get("HOME") or Path.home())
    named = [Path(environ["PYENV_ROOT"])] if environ.get("PYENV_ROOT") else []
    return list(dict.fromkeys([*named, home / ".pyenv", *(shim.parent for shim in shims)]))


def _conda_prefixes(environ: Mapping[str, str]) -> list[Path]:
    """The base folders of conda installations: the one in use, and those in their usual places."""
    prefixes = []
    if environ.get("CONDA_EXE"):
        prefixes.append(Path(environ["CONDA_EXE"]).parent.parent)
    if environ.get("CONDA_PREFIX"):
        prefixes.append(Path(environ["CONDA_PREFIX"]))
    home = Path(environ.get("HOME") or Path.home())
    prefixes += [home / name for name in ("miniconda3", "miniforge3", "anaconda3", "mambaforge")]
    return [prefix for prefix in dict.fromkeys(prefixes) if prefix.is_dir()]


def _patch(home: Path) -> tuple[int, ...]:
    """``3.11.10`` after ``3.11.9``."""
    return tuple(int(part) for part in home.name.split(".") if part.isdigit())
