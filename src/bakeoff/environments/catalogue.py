"""The environments that Bakeoff can make, what each serves, and what making it takes."""

from __future__ import annotations

import functools
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from bakeoff import registry

LOCKS = Path(__file__).parent / "locks"

OLDEST_PYTHON = (3, 7)  # the worker's


@dataclass(frozen=True)
class EnvironmentSpec:
    """One environment of the catalogue.

    backends: names of those that it serves, its own first. lock: pinned and hashed requirements; None for our
    own interpreter, where nothing is made.    The rest is as in `bakeoff_worker.backends.Environment`.
    """

    name: str
    summary: str
    backends: tuple[str, ...]
    python: str = "3.11"
    lock: Path | None = None
    needs_compiler: bool = False
    disk_bytes: int = 0
    instead: str = ""


class EnvironmentRequest(Protocol):
    """An environment that a study brings: an interpreter, or a lock to make one from (the other is None).

    python: interpreter that already has the framework. lock: requirements file, pinned and hashed;
    python_version: the Python that it was made for, such as ``3.11``.
    """

    @property
    def name(self) -> str: ...
    @property
    def python(self) -> Path | None: ...
    @property
    def lock(self) -> Path | None: ...
    @property
    def python_version(self) -> str | None: ...


@dataclass(frozen=True)
class Environment:
    """An interpreter that is ready to run a worker.

    python: its path. variables: what its processes need on top of the inherited ones.
    digest: 64 hex digits over its lock and Python's minor version, or over what was found in it.
    kind: ``managed`` (made from a lock), ``external`` (the user's) or ``own`` (Bakeoff's).
    scratch: existing folder that outlives runs and is private to this environment (compile caches).
    blas_library: the OpenBLAS that Theano is to link, also in ``variables["BAKEOFF_BLAS_LIBRARY"]``.
    """

    name: str
    python: Path
    variables: Mapping[str, str]
    digest: str
    kind: Literal["managed", "external", "own"]
    scratch: Path
    blas_library: Path | None = None


# What Spark runs on where the machine has no fit Java; of no backend, so that studies know nothing of it.
# Any Python holds it.
JAVA = EnvironmentSpec(
    name="java",
    summary="OpenJDK 17 for Spark, where this machine has no fitting Java",
    backends=(),
    python="{}.{}".format(*sys.version_info),
    lock=LOCKS / "java.txt",
    disk_bytes=75_000_000,
)


@functools.cache
def catalogue() -> Mapping[str, EnvironmentSpec]:
    """All environments that Bakeoff knows, by name, in the order of their backends."""
    return {
        name: EnvironmentSpec(
            name=name,
            summary=one.summary,
            backends=backends,
            python=one.python,
            lock=_lock(one.lock, folder) if one.lock else None,
            needs_compiler=one.needs_compiler,
            disk_bytes=one.disk_bytes,
            instead=one.instead,
        )
        for name, (one, backends, folder) in registry.environments().items()
    }


def _lock(name: str, folder: Path) -> Path:
    """A lock that a backend brings in its folder, or one of Bakeoff's own."""
    brought = folder / name
    return brought if brought.exists() else LOCKS / name
