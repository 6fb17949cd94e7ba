"""The catalogue and its locks; and, slowly, that each lock makes an environment that works."""

import os
import re
import subprocess
from pathlib import Path

import pytest

from bakeoff import environments
from bakeoff.environments import blas
from bakeoff.environments.catalogue import MODULES
from bakeoff.errors import EnvironmentFailure
from bakeoff.study.definitions import ENVIRONMENTS
from bakeoff_worker.backends import NAMES

LOCKED = [spec for spec in environments.catalogue().values() if spec.lock]
REQUIREMENT = re.compile(r"[a-z0-9-]+==[\w.+!]+( ; [\w .<>=!'*()]+)?")


def requirements(lock: Path) -> list[tuple[str, list[str]]]:
    """Each requirement of a lock with its hashes."""
    lines = [line for line in lock.read_text().replace("\\\n", "").splitlines() if line[:1] != "#"]
    return [(re.split(r"\s+--hash=", line)[0], re.findall(r"--hash=(\S+)", line)) for line in lines]


def test_it_says_what_studies_and_workers_say() -> None:
    assert {spec.name: spec.backends for spec in environments.catalogue().values()} == ENVIRONMENTS
    assert set(MODULES) == set(NAMES)
    assert {backend for spec in environments.catalogue().values() for backend in spec.backends} == set(NAMES)


@pytest.mark.parametrize("spec", LOCKED, ids=lambda spec: spec.name)
def test_every_requirement_is_pinned_and_hashed(spec: environments.EnvironmentSpec) -> None:
    assert spec.lock is not None
    found = requirements(spec.lock)
    assert found
    for requirement, hashes in found:
        assert REQUIREMENT.fullmatch(requirement), requirement
        assert hashes, requirement
        assert all(re.fullmatch(r"sha256:[0-9a-f]{64}", one) for one in hashes), requirement


@pytest.mark.parametrize("spec", LOCKED, ids=lambda spec: spec.name)
def test_no_lock_names_a_host_or_a_path(spec: environments.EnvironmentSpec) -> None:
    assert spec.lock is not None
    for line in spec.lock.read_text().splitlines()[1:]:
        assert not re.search(r"://|/|@|--(index|extra|find)", line), line


@pytest.mark.parametrize("spec", LOCKED, ids=lambda spec: spec.name)
def test_a_lock_has_what_its_source_pins(spec: environments.EnvironmentSpec) -> None:
    assert spec.lock is not None
    locked = {requirement.split(" ;")[0] for requirement, _ in requirements(spec.lock)}
    wanted = {
        line.split(" ;")[0] for line in spec.lock.with_suffix(".in").read_text().split("\n") if "==" in line
    }
    assert wanted
    assert wanted <= locked


def test_torch_is_the_official_cpu_build_and_brings_no_cuda() -> None:
    lock = environments.catalogue()["torch"].lock
    assert lock is not None
    found = dict(requirements(lock))
    # The SHA-256 that PyTorch's own index gives for its CPython 3.11, x86-64, manylinux_2_28 wheel.
    official = "sha256:6746dbcbeb526eb61330b76b41ff1b4eb848951103a892eeb080dfa2b264667b"
    assert official in found["torch==2.13.0+cpu ; sys_platform != 'darwin'"]
    assert not [name for name in found if re.match(r"nvidia|cuda|triton", name)]


@pytest.mark.parametrize(
    ("libraries", "found"),
    [
        (["numpy.libs/libopenblasp-r0-34a.so"], "numpy.libs/libopenblasp-r0-34a.so"),
        (
            ["numpy.libs/libopenblas64_p-r0-0c.so", "scipy.libs/libopenblasp-r0-01.so"],
            "scipy.libs/libopenblasp-r0-01.so",
        ),
        (
            ["numpy/.libs/libopenblasp-r0-0.so", "numpy/.libs/libgfortran.so"],
            "numpy/.libs/libopenblasp-r0-0.so",
        ),
        (["numpy.libs/libopenblas64_p-r0-0c.so"], None),
        ([], None),
    ],
)
def test_theano_gets_a_blas_with_plain_symbols(
    libraries: list[str], found: str | None, tmp_path: Path
) -> None:
    for name in libraries:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    library = blas.bundled_openblas(tmp_path)
    assert library == (tmp_path / found if found else None)
    expected = (
        {"LD_LIBRARY_PATH": f"{library.parent}:/cuda", "BAKEOFF_BLAS_LIBRARY": str(library)}
        if library
        else {}
    )
    assert blas.variables(library, "/cuda") == expected


@pytest.mark.slow
@pytest.mark.parametrize("spec", LOCKED, ids=lambda spec: spec.name)
def test_each_lock_makes_an_environment_that_imports_its_framework(
    spec: environments.EnvironmentSpec,
) -> None:
    try:
        made = environments.ensure(spec.name)
    except EnvironmentFailure as failure:
        if spec.name == "vintage" and "no Python 3.7" in failure.message:
            pytest.skip("no Python 3.7 to be had here")
        raise
    framework = {"theano": "numpy", "vintage": "tensorflow"}.get(
        spec.name, spec.name
    )  # Theano's shim is the worker's
    versions = "print('version', module.__version__, keras.__version__)"
    code = f"import importlib; module = importlib.import_module('{framework}')\n" + (
        "import keras\n" + versions if spec.name != "theano" else "print('version', module.__version__)"
    )
    backend = {"vintage": "tensorflow"}.get(spec.name, spec.name)
    answer = subprocess.run(
        [made.python, "-c", code],
        env={**os.environ, **made.variables, "KERAS_BACKEND": backend},
        capture_output=True,
        text=True,
        timeout=300,
    )
    expected = {
        "tensorflow": "version 2.21.0 3.15.1",
        "jax": "version 0.10.2 3.15.1",
        "torch": "version 2.13.0+cpu 3.15.1",
        "theano": "version 1.26.4",
        "vintage": "version 1.15.5 2.3.1",
    }
    assert answer.stdout.splitlines()[-1:] == [expected[spec.name]], answer.stderr
    if spec.needs_compiler:
        assert made.blas_library is not None
        assert made.blas_library.is_file()
