"""Environments that are there already: the user names an interpreter, we look at what it has."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from bakeoff.environments.catalogue import OLDEST_PYTHON
from bakeoff.errors import EnvironmentFailure

# Runs in the foreign interpreter, from Python 2.7 on so that an old one can say how old it is. Needs no pip:
# the packages come from importlib.metadata, from pkg_resources before Python 3.8, or from file names.
_ASK = r"""
import json, os, platform, re, sys, sysconfig
packages = {}
try:
    from importlib import metadata
    for found in metadata.distributions():
        name = found.metadata["Name"]
        if name:
            packages.setdefault(name.lower().replace("_", "-"), found.version)
except ImportError:
    try:
        import pkg_resources
        for found in pkg_resources.working_set:
            packages.setdefault(found.project_name.lower().replace("_", "-"), found.version)
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
print("\n" + json.dumps({
    "version": list(sys.version_info[:3]),
    "implementation": platform.python_implementation(),
    "packages": packages,
    "missing": missing,
    "site_packages": sysconfig.get_paths()["platlib"],
}))
"""
_ANSWER_S = 60.0  # a cold network file system with thousands of packages


@dataclass(frozen=True)
class ExternalFacts:
    """What an interpreter says of itself. packages: distribution name to version."""

    version: str
    implementation: str
    packages: Mapping[str, str]
    site_packages: Path

    @property
    def digest(self) -> str:
        """64 hex digits over versions: Python's, and those of all its packages."""
        listing = [self.implementation, self.version, sorted(self.packages.items())]
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
    return ExternalFacts(spelled, facts["implementation"], facts["packages"], Path(facts["site_packages"]))
