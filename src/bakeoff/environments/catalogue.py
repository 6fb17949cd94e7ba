"""The environments that Bakeoff can make, what each serves, and what making it takes."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

LOCKS = Path(__file__).parent / "locks"

# What must be importable before a backend can run; looked for, not imported (TensorFlow alone takes seconds).
MODULES: Mapping[str, tuple[str, ...]] = {
    "tensorflow": ("numpy", "keras", "tensorflow"),
    "jax": ("numpy", "keras", "jax"),
    "torch": ("numpy", "keras", "torch"),
    "theano": ("numpy", "keras", "theano"),
    "tensorflow1": ("numpy", "keras", "tensorflow"),
    "fake": ("numpy",),
}

OLDEST_PYTHON = (3, 7)  # the worker's


@dataclass(frozen=True)
class EnvironmentSpec:
    """One environment of the catalogue.

    backends: names of ``bakeoff_worker.backends`` that it serves, its own first.
    python: the minor version that its lock was made for. lock: pinned and hashed requirements; None
    for our own interpreter, where nothing is made.
    needs_compiler: g++ and the interpreter's headers, which Theano calls while it runs.
    disk_bytes: free space asked for before making it: what it took, measured, and a fifth more.
    """

    name: str
    summary: str
    backends: tuple[str, ...]
    python: str = "3.11"
    lock: Path | None = None
    needs_compiler: bool = False
    disk_bytes: int = 0


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


def catalogue() -> Mapping[str, EnvironmentSpec]:
    """All environments that Bakeoff knows, by name, in the order in which people meet them."""
    return _CATALOGUE


_CATALOGUE: Mapping[str, EnvironmentSpec] = {
    spec.name: spec
    for spec in (
        EnvironmentSpec(
            name="tensorflow",
            summary="Keras 3.15.1 on TensorFlow 2.21.0 (CPU)",
            backends=("tensorflow",),
            lock=LOCKS / "tensorflow.txt",
            disk_bytes=1_850_000_000,
        ),
        EnvironmentSpec(
            name="jax",
            summary="Keras 3.15.1 on JAX 0.10.2 (CPU)",
            backends=("jax",),
            lock=LOCKS / "jax.txt",
            disk_bytes=800_000_000,
        ),
        EnvironmentSpec(
            name="torch",
            summary="Keras 3.15.1 on PyTorch 2.13.0 (CPU build)",
            backends=("torch",),
            lock=LOCKS / "torch.txt",
            disk_bytes=1_200_000_000,
        ),
        EnvironmentSpec(
            name="theano",
            summary="Keras 2.3.1 on Theano 1.0.5, on today's Python",
            backends=("theano",),
            lock=LOCKS / "theano.txt",
            needs_compiler=True,
            disk_bytes=350_000_000,
        ),
        EnvironmentSpec(
            name="vintage",
            summary="Keras 2.3.1 on Theano 1.0.5 and on TensorFlow 1.15.5, the study's own stack",
            backends=("theano", "tensorflow1"),
            python="3.7",
            lock=LOCKS / "vintage.txt",
            needs_compiler=True,
            disk_bytes=850_000_000,
        ),
        EnvironmentSpec(
            name="tensorflow_spark",
            summary="Keras 3.15.1 on TensorFlow 2.19.1 (CPU); Elephas 7.3.0, Spark 3.5.9",
            backends=("tensorflow",),
            lock=LOCKS / "tensorflow_spark.txt",
            disk_bytes=2_75_000_000,
        ),
        EnvironmentSpec(
            name="theano_spark",
            summary="Keras 2.3.1 on Theano 1.0.5, on today's Python; Elephas 0.4.5, Spark 3.5.9",
            backends=("theano",),
            lock=LOCKS / "theano_spark.txt",
            needs_compiler=True,
            disk_bytes=800_000_000,
        ),
        EnvironmentSpec(
            name="vintage_spark",
            summary="as vintage, with Elephas 0.4.5 and Spark 3.4.4",
            backends=("theano", "tensorflow1"),
            python="3.7",
            lock=LOCKS / "vintage_spark.txt",
            needs_compiler=True,
            disk_bytes=1_250_000_000,
        ),
        EnvironmentSpec(
            name="fake",
            summary="invented results, for trying Bakeoff itself: its own interpreter",
            backends=("fake",),
        ),
    )
}
