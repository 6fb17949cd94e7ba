"""The program of plain Keras that a refinement ends with: what it sets, and that it does so where it runs."""

from __future__ import annotations

import ast
import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bakeoff.environments import Environment
from bakeoff.errors import EnvironmentFailure
from bakeoff.execute import Provision
from bakeoff.refine import outside
from bakeoff.refine.space import Machine, Option, changed, options
from bakeoff_worker.job import TrialSettings
from bakeoff_worker.models.catalogue import MODELS, OPTIMIZERS

NETWORK = """from __future__ import annotations

def build(input_shape, num_classes):
    from keras import layers, models

    x = inputs = layers.Input(shape=input_shape)
    x = layers.Conv2D(4, (3, 3), activation="relu")(x)
    x = layers.MaxPooling2D((4, 4), name="tiles")(x)
    x = layers.MaxPooling2D(3, strides=1, name="overlaps")(x)
    return models.Model(inputs, layers.Dense(num_classes, activation="softmax")(layers.Flatten()(x)))
"""
PROBE = """
import numpy
images = numpy.random.RandomState(0).normal(size=(2, 13, 11, 3)).astype("float32")
given = keras.models.Sequential([layers.Input(shape=(13, 11, 3)), layers.MaxPooling2D((3, 2))])
plain = keras.models.Sequential([layers.Input(shape=(13, 11, 3)), MaxPooling2D((3, 2))])
print(json.dumps({
    "layers": [type(layer).__name__ for layer in model.layers],
    "shape": list(model.layers[2].output.shape[1:]),
    "difference": float(abs(given.predict(images, verbose=0) - plain.predict(images, verbose=0)).max()),
    "jit": bool(getattr(model, "jit_compile", False)),
    "steps": int(getattr(model, "steps_per_execution", 1)),
    "cpus": len(os.sched_getaffinity(0)),
    "variables": {name: os.environ.get(name) for name in ("NPROC", "XLA_FLAGS", "OMP_NUM_THREADS")},
    "threads": sys.modules["torch"].get_num_threads() if "torch" in sys.modules else None,
}))
"""


def of(backend: str, **settings: Any) -> TrialSettings:
    settings = {
        "model_options": MODELS["study_cnn"],
        "optimizer_options": OPTIMIZERS[settings.get("optimizer", "adam")],
        **settings,
    }
    return TrialSettings(backend, backend, **settings)


def _invented(folder: Path, python: Path) -> Environment:
    return Environment("invented", python, {}, "", "own", folder)


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    folder = tmp_path / "dataset"
    folder.mkdir()
    generator = np.random.RandomState(0)
    np.save(folder / "x_train.npy", generator.randint(0, 256, (250, 28, 28, 1)).astype("uint8"))
    np.save(folder / "y_train.npy", generator.randint(0, 10, 250).astype("uint8"))
    return folder


@pytest.fixture
def provision(tmp_path: Path) -> Provision:
    return Provision(_invented(tmp_path, Path("python")), tmp_path)


@pytest.mark.parametrize("backend", ["tensorflow", "jax", "torch", "tensorflow1"])
@pytest.mark.parametrize("model", list(MODELS))
def test_each_change_gives_another_program_that_parses_and_knows_nothing_of_us(
    backend: str, model: str, provision: Provision
) -> None:
    settings = of(backend, model=model, model_options=MODELS[model], train_images=4000)
    texts = [outside.program(settings, provision, "one.py")]
    for one in options(settings, Machine(4, has_bfloat16=True)):
        tuned = changed(settings, one.changes)
        assert not outside.why_none(tuned)
        texts.append(outside.program(tuned, provision, "one.py"))
    assert len(set(texts)) == len(texts) > 5
    for text in texts:
        imported = {
            name.name if isinstance(node, ast.Import) else node.module
            for node in ast.walk(ast.parse(text))
            if isinstance(node, ast.Import | ast.ImportFrom)
            for name in node.names
        }
        assert not any("bakeoff" in str(name) for name in imported)


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        (of("theano"), "Bakeoff writes none for theano"),
        (of("plain_torch"), "Bakeoff writes none for plain_torch"),
        (of("jax", schedule="cosine"), "schedule = cosine"),
        (of("jax", clip_norm=1.0, class_weights="balanced"), "class_weights = balanced, clip_norm = 1.0"),
        (of("torch", device="gpu"), "device = gpu"),
        (of("jax", precision="float64"), "precision = float64"),
        (of("jax", loss="own"), "loss = own"),
        (of("torch", loss="binary_crossentropy"), "loss = binary_crossentropy"),
        (of("torch", preprocessing="standardize"), "preprocessing = standardize"),
    ],
)
def test_what_the_program_would_not_do_is_a_reason_for_none(
    settings: TrialSettings, reason: str, provision: Provision, tmp_path: Path
) -> None:
    assert outside.why_none(settings) == reason
    found = outside.shown((of("jax"), provision), (settings, provision), tmp_path / "refined")
    assert found == outside.Outside(failure=reason) and not list(tmp_path.iterdir())


def test_a_contestant_that_cannot_run_and_a_program_that_fails_are_said(
    provision: Provision, tmp_path: Path
) -> None:
    none = of("jax"), EnvironmentFailure("no room", "")
    found = outside.shown(none, none, tmp_path / "refined")
    assert found.failure == "no room" and found.files is None
    false = shutil.which("false")
    assert false
    broken = of("jax"), Provision(_invented(tmp_path, Path(false)), tmp_path)
    found = outside.shown(broken, broken, tmp_path / "refined")
    assert found.failure == "refined-default.py: exit code 1" and found.seconds is None


@pytest.mark.slow
@pytest.mark.parametrize(
    "backend", ["jax", *(pytest.param(one, marks=pytest.mark.exhaustive) for one in ("tensorflow", "torch"))]
)
def test_both_programs_run_and_what_they_set_takes_effect(
    backend: str, framework: Callable[[str], Environment], dataset: Path, tmp_path: Path
) -> None:
    (tmp_path / "network.py").write_text(NETWORK)
    provision = Provision(framework(backend), dataset, tmp_path / "network.py")
    settings = of(backend, model=str(tmp_path / "network.py"), model_options={}, train_images=200, epochs=1)
    found = {one.name: one for one in options(settings, Machine(2))}
    wanted = ("equivalent_layers = true", "keep_memory = true", "threads = 1, pin_cpus = true")
    more = {
        "tensorflow": ("jit = true", "steps_per_execution = 8"),
        "jax": ("steps_per_execution = 8", "variables = XLA_FLAGS=--xla_cpu_enable_fast_math=true"),
        "torch": (),
    }[backend]
    chosen: list[Option] = [found[name] for name in (*wanted, *more)]
    tuned = changed(settings, *(one.changes for one in chosen))
    done = outside.shown((settings, provision), (tuned, provision), tmp_path / "refined")
    assert done.failure == "" and done.files and done.seconds and min(done.seconds) > 0

    (tmp_path / "probe.py").write_text(done.files[1].read_text() + PROBE)
    command = [provision.environment.python, tmp_path / "probe.py", dataset]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    seen = json.loads(text.splitlines()[-1])
    assert seen["layers"][2:4] == ["ReshapeAndMaximum", "MaxPooling2D"] and seen["difference"] == 0
    assert seen["shape"] == [6, 6, 4] and seen["cpus"] == 1
    assert seen["variables"]["OMP_NUM_THREADS"] == "1"
    if backend == "torch":
        assert seen["threads"] == 1 and not seen["jit"]
    else:
        assert seen["steps"] == 8 and seen["jit"]
    if backend == "jax":
        assert seen["variables"]["NPROC"] == "1" and "fast_math=true" in seen["variables"]["XLA_FLAGS"]
