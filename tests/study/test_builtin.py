"""The built-in studies: there, right, and what their descriptions promise."""

from __future__ import annotations

import dataclasses
import json

import pytest

from bakeoff.study import ENVIRONMENTS, builtin_names, load
from bakeoff.study.schema import SETTINGS
from bakeoff_worker.backends import NAMES
from bakeoff_worker.records import TrialSettings


def test_the_names() -> None:
    assert builtin_names() == ("full-3", "paper", "paper-today", "quick", "smoke", "sweep", "vintage-3")


@pytest.mark.parametrize("name", builtin_names())
def test_loads_and_explains_itself(name: str) -> None:
    study = load(name)
    assert study.name == name
    assert len(study.description) > 100
    assert len({trial.label for trial in study.trials}) == len({trial.trial_id for trial in study.trials})
    assert json.loads(json.dumps(study.document()))["digest"] == study.digest == load(name).digest


def test_paper_is_the_study_as_printed() -> None:
    study = load("paper")
    assert study.repeats == 10
    assert {trial.settings.environment for trial in study.trials} == {"vintage"}
    assert {
        (trial.settings.backend, trial.settings.dataset, trial.settings.epochs) for trial in study.trials
    } == {(b, d, 200) for b in ("theano", "tensorflow1") for d in ("mnist", "fashion_mnist", "cifar10")}
    settings = study.trials[0].settings
    assert (settings.optimizer, settings.learning_rate, settings.global_batch_size) == ("adam", 1e-3, 200)
    assert (settings.train_images, settings.evaluation_images) == (None, None)
    assert (settings.evaluation_split, settings.preprocessing) == ("test", "scale")
    assert settings.model_options == {
        "filters": [30, 15],
        "kernel_sizes": [5, 3],
        "pool_size": 2,
        "dropout": 0.2,
        "dense": [128, 50],
        "activation": "relu",
    }


def test_sweep_changes_one_factor_at_a_time() -> None:
    study = load("sweep")
    for backend in ("tensorflow", "jax", "torch", "theano"):
        trials = [trial for trial in study.trials if trial.settings.backend == backend]
        (baseline,) = [trial for trial in trials if trial.label == f"{backend} · baseline"]
        for trial in trials:
            changed = {key for key in trial.axes if trial.axes[key] != baseline.axes[key]}
            # Depth is one factor of two keys: a filter count and a kernel size for each layer.
            assert len(changed - {"model_options.kernel_sizes"}) == 1 or changed <= {
                "model_options.kernel_sizes"
            }
    assert {key for key in study.matrix_keys if "." not in key} >= {
        "global_batch_size",
        "image_size",
        "threads",
        "data_layout",
    }


def test_smoke_needs_no_framework() -> None:
    assert {trial.settings.backend for trial in load("smoke").trials} == {"fake"}


def test_every_setting_can_be_written() -> None:
    assert {*SETTINGS, "content"} == {field.name for field in dataclasses.fields(TrialSettings)}


def test_every_backend_has_an_environment() -> None:
    assert {backend for backends in ENVIRONMENTS.values() for backend in backends} == set(NAMES)
