"""The catalogue and its locks; and, slowly, that each lock makes an environment that works."""

import os
import re
import subprocess
from pathlib import Path

import pytest

import bakeoff_worker
from bakeoff import environments, registry
from bakeoff.environments import blas, creation, interpreters, java, large
from bakeoff.environments.catalogue import JAVA
from bakeoff.errors import EnvironmentFailure

DOCS = Path(__file__).parents[2] / "docs" / "environments.md"
GPU_DOCS = DOCS.with_name("gpu.md")
LOCKED = [spec for spec in environments.catalogue().values() if spec.lock]
LOCKS = [*LOCKED, JAVA]
FOR_GPUS = [spec for spec in LOCKED if spec.cuda]
REQUIREMENT = re.compile(r"[a-z0-9-]+===?[\w.+!]+( ; [\w .<>=!'*()]+)?")


def requirements(lock: Path) -> list[tuple[str, list[str]]]:
    """Each requirement of a lock with its hashes."""
    lines = [line for line in lock.read_text().replace("\\\n", "").splitlines() if line[:1] != "#"]
    return [(re.split(r"\s+--hash=", line)[0], re.findall(r"--hash=(\S+)", line)) for line in lines]


def test_every_backend_has_a_record_and_an_environment() -> None:
    plain = ["plain_tensorflow", "plain_jax", "plain_torch"]
    assert list(registry.backends()) == [
        "theano",
        "tensorflow",
        "jax",
        "torch",
        "tensorflow1",
        "fake",
        *plain,
    ]
    served = {spec.name: spec.backends for spec in environments.catalogue().values()}
    assert served["vintage"] == ("theano", "tensorflow1") and served["torch"] == ("torch", "plain_torch")
    assert {backend for backends in served.values() for backend in backends} == set(registry.backends())


def test_disk_space_asked_for_is_what_was_measured_and_a_fifth_more() -> None:
    """docs/environments.md has what environments took; a digit lost on either side shows."""
    table = re.findall(r"^\| `(\w+)` \|.*\| ([\d.]+)(?: GB)? \|$", DOCS.read_text(), re.MULTILINE)
    specs = {one.name: one for one in (*environments.catalogue().values(), JAVA) if not one.cuda}
    assert {name for name, _ in table} == set(specs)
    off = {name: specs[name].disk_bytes / 1.2e9 - float(took) for name, took in table}
    assert {name: by for name, by in off.items() if abs(by) > 0.1} == {}


PACKAGES = {"PyTorch": "torch", "Spark": "pyspark"}  # where lower case is not enough


@pytest.mark.parametrize("spec", LOCKED, ids=lambda spec: spec.name)
def test_a_summary_names_the_versions_of_its_lock(spec: environments.EnvironmentSpec) -> None:
    told = re.findall(r"(Keras|TensorFlow|JAX|PyTorch|Theano|Elephas|Spark) (\d[\d.]*\d)", spec.summary)
    assert told and spec.lock is not None
    lock = spec.lock.read_text()
    for name, version in told:
        pinned = rf"^{PACKAGES.get(name, name.lower())}(-cpu)?={{2,3}}{re.escape(version)}(\+cpu)?\s"
        assert re.search(pinned, lock, re.MULTILINE), (name, version)


@pytest.mark.parametrize("spec", LOCKS, ids=lambda spec: spec.name)
def test_every_requirement_is_pinned_and_hashed(spec: environments.EnvironmentSpec) -> None:
    assert spec.lock is not None
    found = requirements(spec.lock)
    assert found
    for requirement, hashes in found:
        assert REQUIREMENT.fullmatch(requirement), requirement
        assert hashes, requirement
        assert all(re.fullmatch(r"sha256:[0-9a-f]{64}", one) for one in hashes), requirement


@pytest.mark.parametrize("spec", LOCKS, ids=lambda spec: spec.name)
def test_no_lock_names_a_host_or_a_path(spec: environments.EnvironmentSpec) -> None:
    assert spec.lock is not None
    for line in spec.lock.read_text().splitlines()[1:]:
        assert not re.search(r"://|/|@|--(index|extra|find)", line), line


@pytest.mark.parametrize("spec", LOCKS, ids=lambda spec: spec.name)
def test_a_lock_has_what_its_source_pins(spec: environments.EnvironmentSpec) -> None:
    assert spec.lock is not None
    locked = {requirement.split(" ;")[0] for requirement, _ in requirements(spec.lock)}
    wanted = {
        re.sub(r"\[[\w-]+\]", "", line.split(" ;")[0])  # without extras, which bring packages of their own
        for line in spec.lock.with_suffix(".in").read_text().split("\n")
        if "==" in line
    }
    assert wanted
    assert wanted <= locked


@pytest.mark.parametrize("name", ["theano", "vintage"])
def test_with_spark_come_the_versions_of_the_single_machine(name: str) -> None:
    alone, spark = environments.catalogue()[name].lock, environments.catalogue()[f"{name}_spark"].lock
    assert alone is not None
    assert spark is not None
    ours, theirs = ({requirement for requirement, _ in requirements(lock)} for lock in (alone, spark))
    assert ours < theirs
    assert {"elephas", "flask", "py4j", "pyspark"} <= {one.split("==")[0] for one in theirs - ours}


def test_torch_is_the_official_cpu_build_and_brings_no_cuda() -> None:
    lock = environments.catalogue()["torch"].lock
    assert lock is not None
    found = dict(requirements(lock))
    # The SHA-256 that PyTorch's own index gives for its CPython 3.11, x86-64, manylinux_2_28 wheel.
    official = "sha256:6746dbcbeb526eb61330b76b41ff1b4eb848951103a892eeb080dfa2b264667b"
    assert official in found["torch==2.13.0+cpu ; sys_platform != 'darwin'"]
    assert not [name for name in found if re.match(r"nvidia|cuda|triton", name)]
    assert not large.has_cuda(environments.catalogue()["torch"])


@pytest.mark.parametrize("spec", FOR_GPUS, ids=lambda spec: spec.name)
def test_a_build_for_gpus_is_the_cpus_release_with_the_cuda_that_its_record_says(
    spec: environments.EnvironmentSpec,
) -> None:
    cpu = environments.catalogue()[spec.name.removesuffix("_gpu")].lock
    assert spec.lock is not None and spec.cuda is not None and cpu is not None
    found, theirs = versions(spec.lock), versions(cpu)
    theirs = {name.removesuffix("-cpu"): version.partition("+")[0] for name, version in theirs.items()}
    released = {"keras", "tensorflow", "jax", "jaxlib", "torch"} & found.keys()
    assert len(released) > 1 and {name: found[name] for name in released}.items() <= theirs.items()
    major = spec.cuda.version.partition(".")[0]
    assert found["nvidia-cuda-runtime" + "-cu12" * (major == "12")].startswith(spec.cuda.version)
    assert found[f"nvidia-cudnn-cu{major}"].startswith(spec.cuda.cudnn)
    assert spec.cuda.driver == {"12": 525, "13": 580}[major], "NVIDIA's table of minor version compatibility"


@pytest.mark.parametrize("spec", FOR_GPUS, ids=lambda spec: spec.name)
def test_a_download_is_the_sum_of_what_its_lock_names(spec: environments.EnvironmentSpec) -> None:
    """A wheel for each requirement, of its version; what the docs say is their sum."""
    assert spec.lock is not None
    wheels = dict(name.split("-")[:2] for name in spec.wheels)
    assert {name.replace("_", "-"): version for name, version in wheels.items()} == versions(spec.lock)
    row = re.search(
        rf"^\| `{spec.name}` \|.*\| (\d+) \| ([\d.]+) GB \| ([\d.]+) GB \|$", GPU_DOCS.read_text(), re.M
    )
    size = sum(spec.wheels.values())
    assert row is not None and row.groups() == (
        f"{len(wheels)}",
        f"{size / 1e9:.1f}",
        f"{spec.disk_bytes / 1e9:.1f}",
    )
    assert spec.disk_bytes == pytest.approx(2.5 * size, rel=0.01)


def versions(lock: Path) -> dict[str, str]:
    """Package to version."""
    return dict(re.split("={2,3}", requirement.split(" ;")[0]) for requirement, _ in requirements(lock))


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


# Modules, the framework first, and their versions. Theano on Python 3.11 needs the worker's shim, so that
# its numpy stands for it.
IMPORTED = {
    "tensorflow": (("tensorflow", "keras"), "2.21.0 3.15.1"),
    "jax": (("jax", "keras"), "0.10.2 3.15.1"),
    "jax_0_4": (("jax", "keras"), "0.4.31 3.15.1"),
    "torch": (("torch", "keras"), "2.13.0+cpu 3.15.1"),
    "theano": (("numpy",), "1.26.4"),
    "vintage": (("tensorflow", "keras"), "1.15.5 2.3.1"),
    "tensorflow_spark": (("tensorflow", "keras", "pyspark"), "2.19.1 3.15.1 3.5.9"),
    "theano_spark": (("numpy", "pyspark"), "1.26.4 3.5.9"),
    "vintage_spark": (("tensorflow", "keras", "pyspark"), "1.15.5 2.3.1 3.4.4"),
}


@pytest.mark.slow
@pytest.mark.parametrize(
    "spec",
    [
        pytest.param(spec, marks=pytest.mark.exhaustive if spec.name == "jax_0_4" else ())
        for spec in LOCKED
        if not spec.cuda
    ],
    ids=lambda spec: spec.name,
)
def test_each_lock_makes_an_environment_that_imports_its_framework(
    spec: environments.EnvironmentSpec,
) -> None:
    try:
        made = environments.ensure(spec.name)
    except EnvironmentFailure as failure:
        if spec.python == "3.7" and "no Python 3.7" in failure.message:
            pytest.skip("no Python 3.7 to be had here")
        raise
    marker = creation.read_marker(made.scratch.parent)
    assert marker is not None and 1.1 < spec.disk_bytes / marker.disk_bytes < 1.35
    modules, versions = IMPORTED[spec.name]
    shown = ", ".join(f"{module}.__version__" for module in modules)
    answer = subprocess.run(
        [made.python, "-c", f"import {', '.join(modules)}; print({shown})"],
        env={**os.environ, **made.variables, "KERAS_BACKEND": modules[0]},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert answer.stdout.splitlines()[-1:] == [versions], answer.stderr
    if spec.needs_compiler:
        assert made.blas_library is not None
        assert made.blas_library.is_file()


# The corrections that Elephas 0.4.5 needs are the distribution's; metrics by name are one of them.
ELEPHAS = """
import keras, numpy
from pyspark import SparkConf, SparkContext
from elephas.spark_model import SparkModel
from elephas.utils.rdd_utils import to_simple_rdd

draw = numpy.random.RandomState(0)
x = draw.normal(size=(2000, 4)).astype("float32")
y = numpy.eye(2, dtype="float32")[(x.sum(axis=1) > 0).astype(int)]
model = keras.models.Sequential(
    [keras.layers.Dense(8, activation="relu", input_shape=(4,)), keras.layers.Dense(2, activation="softmax")]
)
model.compile("adam", "categorical_crossentropy", metrics=["accuracy"])
local = SparkConf().setMaster("local[2]").set("spark.ui.enabled", "false")
with SparkContext(conf=local.set("spark.driver.bindAddress", "127.0.0.1")) as spark:
    before = model.evaluate(x, y, verbose=0)[1]
    distributed = SparkModel(model, frequency="epoch", mode="synchronous", num_workers=2)
    distributed.master_metrics = ["accuracy"]
    distributed.fit(to_simple_rdd(spark, x, y), epochs=8, batch_size=20, verbose=0, validation_split=0.0)
    print("accuracy", before, distributed.master_network.evaluate(x, y, verbose=0)[1])
"""


# The same through our own driver, with each of them: tests/worker/elephas/test_runs.py.
@pytest.mark.slow
@pytest.mark.exhaustive
@pytest.mark.parametrize(
    ("name", "backend"),
    [
        (name, backend)
        for name, served in registry.environments().items()
        for backend in served.backends
        if served.has_spark
    ],
)
def test_each_release_of_elephas_trains_with_what_it_is_locked_with(
    name: str, backend: str, tmp_path: Path
) -> None:
    if name == "vintage_spark" and interpreters.find("3.7").found is None:
        pytest.skip("no Python 3.7 to be had here")
    made = environments.ensure(name, backend=backend)
    # Python's start imports it in the driver and in Spark's workers alike.
    shim = "from bakeoff_worker.backends.theano import compat\ncompat.install()\n"
    (tmp_path / "sitecustomize.py").write_text(shim if backend == "theano" else "")
    (tmp_path / "train.py").write_text(ELEPHAS)
    answer = subprocess.run(
        [made.python, "train.py"],
        env={
            **os.environ,
            **made.variables,
            "JAVA_HOME": str(java.find(name).home),
            "KERAS_BACKEND": backend.rstrip("1"),
            "PYSPARK_PYTHON": str(made.python),
            "PYTHONPATH": f"{tmp_path}{os.pathsep}{Path(bakeoff_worker.__file__).parents[1]}",
            "THEANO_FLAGS": f"floatX=float32,base_compiledir={made.scratch},blas.ldflags=-L"
            f"{made.blas_library.parent} -l:{made.blas_library.name}"
            if made.blas_library
            else "",
        },
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert answer.returncode == 0, answer.stderr
    before, after = map(float, answer.stdout.splitlines()[-1].split()[1:])
    assert after > before + 0.1, answer.stdout
