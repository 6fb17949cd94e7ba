"""Environments that are there already: the user names an interpreter, we look at what it has."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bakeoff.environments.catalogue import OLDEST_PYTHON
from bakeoff.errors import EnvironmentFailure

# Runs in the foreign interpreter, from Python 2.7 on so that an old one can say how old it is. Needs no pip:
# the packages come from importlib.metadata, from pkg_resources before Python 3.8, or from file names.
_ASK = r"""
import hashlib, json, os, platform, re, sys, sysconfig
packages, contents = {}, {}
def digest(lines):
    return hashlib.sha256("\n".join(sorted(lines)).encode("utf-8")).hexdigest()
def installed(record):
    # What the installer wrote down of each file; scripts have the environment's own path in them.
    lines = [line.strip() for line in (record or "").splitlines()]
    return [line for line in lines if line and line[:2] != ".." and ".dist-info/" not in line]
def tree(folder):
    lines = []
    for here, folders, names in os.walk(folder):
        folders[:] = sorted(one for one in folders if one[0] != "." and one != "__pycache__")
        for name in names:
            if name.endswith((".py", ".so")):
                path = os.path.join(here, name)
                with open(path, "rb") as file:
                    line = os.path.relpath(path, folder) + " " + hashlib.sha256(file.read()).hexdigest()
                lines.append(line)
    return lines
def note(name, version, record, direct_url):
    name = name.lower().replace("_", "-")
    if name not in packages:
        packages[name] = version
        lines = installed(record)
        url = json.loads(direct_url) if direct_url else {}
        if url.get("dir_info", {}).get("editable"):
            lines += tree(url["url"][len("file://"):])
        contents[name] = digest(lines)
try:
    from importlib import metadata
    for found in metadata.distributions():
        if found.metadata["Name"]:
            record, url = found.read_text("RECORD"), found.read_text("direct_url.json")
            note(found.metadata["Name"], found.version, record, url)
except ImportError:
    try:
        import pkg_resources
        for found in pkg_resources.working_set:
            files = ("RECORD", "direct_url.json")
            texts = [found.get_metadata(one) if found.has_metadata(one) else "" for one in files]
            note(found.project_name, found.version, *texts)
    except ImportError:
        for folder in sys.path:
            for name in sorted(os.listdir(folder)) if os.path.isdir(folder) else ():
                match = re.match(r"(.+?)-([^-]+)(-py[^-]*)?\.(dist|egg)-info$", name)
                if match:
                    packages.setdefault(match.group(1).lower().replace("_", "-"), match.group(2))
try:
    from importlib.util import find_spec
    missing = [name for name in sys.argv[1:] if find_spec(name) is None]
except ImportError:
    missing = []
conda = os.path.join(sys.prefix, "conda-meta")
print("\n" + json.dumps({
    "version": list(sys.version_info[:3]),
    "implementation": platform.python_implementation(),
    "packages": packages,
    "contents": contents,
    "build": [sys.version, sorted(os.listdir(conda)) if os.path.isdir(conda) else []],
    "missing": missing,
    "site_packages": sysconfig.get_paths()["platlib"],
}))
"""
_ANSWER_S = 60.0  # a cold network file system with thousands of packages


@dataclass(frozen=True)
class ExternalFacts:
    """What an interpreter says of itself.

    packages: distribution name to version. contents: to a digest of its files, as the installer noted them;
    of packages that are installed for editing, as they are. build: of Python, and what conda has installed.
    """

    version: str
    implementation: str
    packages: Mapping[str, str]
    site_packages: Path
    contents: Mapping[str, str] = field(default_factory=dict)
    build: Sequence[Any] = ()

    @property
    def digest(self) -> str:
        """64 hex digits over versions and contents: Python's, and those of all its packages."""
        listing: list[Any] = [self.implementation, self.version, sorted(self.packages.items())]
        if self.contents:
            listing += [sorted(self.contents.items()), self.build]
        return hashlib.sha256(json.dumps(listing).encode()).hexdigest()


def examine(name: str, python: Path, modules: tuple[str, ...]) -> ExternalFacts:
    """What the interpreter of an external environment has.

    modules: names that must be importable.

    Raises:
        EnvironmentFailure: no such file, it doesn't run, is older than the worker, or lacks a module.
    """
    where = f"environment {name}: {python}"
    if not python.exists():
        raise EnvironmentFailure(
            f"{where}: no such file", "Name the environment's python, such as /opt/conda/bin/python."
        )
    if python.is_dir() or not os.access(python, os.X_OK):
        raise EnvironmentFailure(
            f"{where}: not an executable file", "Name the python itself, not its folder."
        )
    # -I would also leave out the user's site-packages, as the launcher does (PYTHONNOUSERSITE).
    command = [str(python), "-s", "-c", _ASK, *modules]
    environ = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "PYTHONHOME")}
    try:
        answer = subprocess.run(
            command,
            env=environ,
            cwd="/",
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_ANSWER_S,
            check=False,
        )
        facts = json.loads(answer.stdout.splitlines()[-1])
        version = tuple(facts["version"])
    except subprocess.TimeoutExpired as error:
        raise EnvironmentFailure(f"{where}: no answer within {_ANSWER_S:.0f} s", "Try it by hand.") from error
    except (OSError, ValueError, IndexError, KeyError, TypeError) as error:
        last = (
            "" if isinstance(error, OSError) else "".join(f"\n  {x}" for x in answer.stderr.splitlines()[-5:])
        )
        raise EnvironmentFailure(
            f"{where}: does not run as a Python ({error}){last}", "Try it by hand: `PYTHON --version`."
        ) from error
    spelled = ".".join(str(part) for part in version)
    if version[:2] < OLDEST_PYTHON:
        oldest = "{}.{}".format(*OLDEST_PYTHON)
        raise EnvironmentFailure(
            f"{where}: is Python {spelled}; expected {oldest} or newer", "Use a newer interpreter."
        )
    if facts["missing"]:
        raise EnvironmentFailure(
            f"{where}: Python {spelled} without {', '.join(facts['missing'])}",
            f"Install it there: `uv pip install --python {python} {' '.join(facts['missing'])}`.",
        )
    return ExternalFacts(
        version=spelled,
        implementation=facts["implementation"],
        packages=facts["packages"],
        site_packages=Path(facts["site_packages"]),
        contents=facts["contents"],
        build=facts["build"],
    )
