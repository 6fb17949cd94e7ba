"""What several parts of the tests share, since making it takes long."""

from __future__ import annotations

import functools
import os
import platform
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import hypothesis
import pytest

import bakeoff_worker
from bakeoff import environments
from bakeoff.environments import Environment, creation
from bakeoff.errors import EnvironmentFailure

# xdist sets it for its workers; ours is the width of a program whose output goes to a pipe.
os.environ.pop("COLUMNS", None)

# What a busy machine takes for an example is no property of ours.
hypothesis.settings.register_profile("unhurried", deadline=None)
hypothesis.settings.load_profile("unhurried")

# Files that take a minute or more, the slowest first. With `--no-loadscope-reorder` they start in this order.
SLOWEST = (
    "worker/test_settings.py",
    "worker/test_agreement.py",
    "examples/test_examples.py",
    "worker/elephas/test_runs.py",
    "verification/test_frameworks.py",
    "worker/elephas/test_faults.py",
    "worker/test_contract.py",
    "identity/test_identity.py",
    "cli/test_interrupted.py",
    "worker/spark/test_cluster.py",
    "verification/test_rounds.py",
    "cli/test_calibrate.py",
    "cli/test_until_decided.py",
    "worker/test_models.py",
    "report/test_browser.py",
    "docs/test_commands.py",
    "packaging/test_evidence.py",
    "cli/test_run.py",
    "cli/test_follow_up.py",
    "packaging/test_wheel.py",
    "farm/test_studies.py",
    "worker/spark/test_eventlog.py",
    "worker/spark/test_guardian.py",
    "environments/test_packing.py",
    "environments/test_catalogue.py",
)

# Theano's modules compile faster without optimization, and compute the same. A process that waits for the
# compile directory asks again after a second, not after five. With Theano's own list of what the processor
# can do, g++ takes no precompiled header.
THEANO_FLAGS = "cmodule.remove_gxx_opt=True,compile.wait=1,compile.timeout=120"
# Its graphs evaluated by NumPy: for what is about their mathematics, or about who runs them, not how fast. To
# compile a small network's modules takes longer than all else.
UNCOMPILED = "cxx=,optimizer=fast_compile"
ARCHITECTURE = "-march=x86-64" if platform.machine() == "x86_64" else ""

# For JVMs that live for seconds: to optimize what they run takes longer than it saves.
BRIEF = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Slow files first, so that workers that run side by side end together; to start the program is slow."""
    root = Path(__file__).parent
    places = {root / name: place for place, name in enumerate(SLOWEST)}
    items.sort(key=lambda item: places.get(item.path, len(places)))
    for item in items:
        if {"program", "finished"} & set(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.slow)


@pytest.fixture(scope="session")
def theano_flags() -> str:
    """Flags with which Theano compiles fast, with nothing of the tests', where the run says."""
    return THEANO_FLAGS


@pytest.fixture(scope="session")
def framework() -> Callable[[str], Environment]:
    """The environment of that name, made if need be; skips where the oldest Python can't be had.

    What JAX compiles is kept for the next test. Theano's share one compile directory; Theano tells modules
    apart by all that goes into them. With Spark nothing is compiled unless a test says so.
    """

    @functools.cache
    def ensure(name: str) -> Environment:
        try:
            made = environments.ensure(name)
        except EnvironmentFailure as failure:
            if not name.startswith("vintage"):
                raise
            pytest.skip(failure.message)
        if name.endswith("_spark"):
            made = replace(made, variables={**made.variables, "JAVA_TOOL_OPTIONS": BRIEF})
        if name == "jax":
            cached = {
                "JAX_COMPILATION_CACHE_DIR": str(made.scratch / "tests"),
                "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
            }
            return replace(made, variables={**made.variables, **cached})
        if made.blas_library is None:  # no Theano
            return made
        if name.endswith("_spark"):
            scratch = ensure(name.removesuffix("_spark")).scratch
            flags = f"{THEANO_FLAGS},{UNCOMPILED},base_compiledir={scratch / 'tests'}"
        else:
            scratch, header = made.scratch, _precompiled(made)
            cxxflags = f"{ARCHITECTURE} -include {header}"
            flags = f"{THEANO_FLAGS},gcc.cxxflags={cxxflags},base_compiledir={scratch / 'tests'}"
        return replace(made, scratch=scratch, variables={**made.variables, "THEANO_FLAGS": flags})

    return ensure


def _precompiled(made: Environment) -> Path:
    """A header with all that Theano's modules include: to parse it takes most of the time of each."""
    folder = made.scratch / "headers"
    with creation.exclusive(folder, lambda: None):
        if not folder.exists():
            part = made.scratch / "headers.part"
            shutil.rmtree(part, ignore_errors=True)
            script = Path(__file__).with_name("theano_headers.py")
            variables = {
                **os.environ,
                **made.variables,
                "THEANO_FLAGS": f"base_compiledir={made.scratch}/tests",
            }
            command = [made.python, script, Path(bakeoff_worker.__file__).parents[1], part]
            done = subprocess.run(command, env=variables, capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stderr
            part.rename(folder)
    return folder / "all.h"


@pytest.fixture(scope="session")
def archive_of(
    framework: Callable[[str], Environment], tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], Path]:
    """The archive of the environment of that name, packed once for all workers that run side by side."""

    def pack(name: str) -> Path:
        framework(name)
        folder = tmp_path_factory.getbasetemp()
        if "PYTEST_XDIST_WORKER" in os.environ:
            folder = folder.parent
        archive = folder / f"{name}.tar.gz"
        with creation.exclusive(archive, lambda: None):
            return archive if archive.exists() else environments.pack(name, archive)

    return pack


@pytest.fixture(scope="session")
def nvml(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a libnvidia-ml.so.1 of our own, for LD_LIBRARY_PATH; nvml.cpp says what it can be told."""
    folder = tmp_path_factory.mktemp("driver")
    library, source = folder / "libnvidia-ml.so.1", Path(__file__).parent / "nvml.cpp"
    subprocess.run(["g++", "-shared", "-fPIC", "-O1", "-Wall", "-Werror", "-o", library, source], check=True)
    return folder
