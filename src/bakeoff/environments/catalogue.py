"""The environments that Bakeoff can make, what each serves, and what making it takes."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from bakeoff import registry
from bakeoff.registry import LOCKS, EnvironmentSpec

OLDEST_PYTHON = (3, 7)  # the worker's


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
    digest: 64 hex digits over its lock and what was found in it: Python's build, packages.
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


def catalogue() -> Mapping[str, EnvironmentSpec]:
    """All environments that Bakeoff knows, by name, in the order of their backends."""
    return registry.environments()
