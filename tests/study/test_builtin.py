"""The built-in studies: there, right, and what their descriptions promise."""

from __future__ import annotations

import dataclasses
import json

import pytest

from bakeoff import registry
from bakeoff.study import builtin_names, load
from bakeoff.study.definitions import default_environment
from bakeoff.study.schema import SETTINGS
from bakeoff_worker.distribution.catalogue import slots
from bakeoff_worker.job import TrialSettings

PAIR = ("theano", "tensorflow1")


def test_the_names() -> None:
    assert builtin_names() == (
        *("calibration", "full-3", "keras-cost", "paper", "paper-distributed", "paper-distributed-today"),
        *("paper-today", "quick", "quick-distributed", "quick-gpu", "smoke", "sweep", "vintage-3"),
    )


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


def test_paper_distributed_is_the_study_as_printed() -> None:
    study = load("paper-distributed")
    assert study.repeats == 4
    assert {trial.settings.environment for trial in study.trials} == {"vintage_spark"}
    on_cluster = [trial.settings for trial in study.trials if trial.settings.distribution == "elephas"]
    table = {
        (one.backend, one.dataset, one.distribution_options["layout"], one.epochs)
        for one in on_cluster
        if one.distribution_options["mode"] == "asynchronous"
    }
    assert table == {(b, "mnist", layout, 50) for b in PAIR for layout in ("5x4", "4x5")}
    assert {one.distribution_options["frequency"] for one in on_cluster} == {"epoch"}
    # What the release's arithmetic does to 20 partitions, and the published correction, are variants.
    variants = {
        (one.backend, one.distribution_options["merge"])
        for one in on_cluster
        if one.distribution_options["mode"] == "synchronous"
    }
    assert variants == {(b, merge) for b in PAIR for merge in ("as_released", "averaged")}
    assert all(one.evaluation_images is None and one.evaluation_split == "test" for one in on_cluster)

    assert study.follow_up is not None
    assert [branch.value for branch in study.follow_up.branches] == ["5x4", "4x5"]
    for branch in study.follow_up.branches:
        follows = [trial.settings for trial in branch.trials]
        assert {one.dataset for one in follows} == {"fashion_mnist"}
        assert sorted((one.backend, one.distribution_options.get("layout", "")) for one in follows) == sorted(
            (b, layout) for b in PAIR for layout in (branch.value, "")
        )


@pytest.mark.parametrize("name", ["paper-distributed", "paper-distributed-today", "quick-distributed"])
def test_each_contestant_of_a_cluster_also_runs_on_one_machine(name: str) -> None:
    """In the same environment, over as many epochs, with as large a step: else there is no speed-up."""
    study = load(name)
    follow_up = study.follow_up
    assert follow_up is None or follow_up.choose == "distribution_options.layout"
    for trials in (study.trials, *(branch.trials for branch in (follow_up.branches if follow_up else ()))):
        settings = [trial.settings for trial in trials]
        alone = {
            (one.backend, one.environment, one.dataset, one.epochs, one.train_images, one.global_batch_size)
            for one in settings
            if one.distribution == "single"
        }
        spread = {
            (
                *(one.backend, one.environment, one.dataset, one.epochs, one.train_images),
                one.distribution_options["batch_size_per_task"],
            )
            for one in settings
            if one.distribution == "elephas"
        }
        assert alone == spread and len(alone) == 2


@pytest.mark.parametrize("name", ["paper-distributed-today", "quick-distributed"])
def test_backends_of_today_race_over_the_same_arithmetic(name: str) -> None:
    """Weights averaged after every epoch: what the current Elephas does, the older one when told so."""
    ways = {}
    for trial in load(name).trials:
        options = trial.settings.distribution_options
        if options.get("mode") == "synchronous":
            ways[trial.settings.backend] = (options["merge"], trial.settings.epochs // options["rounds"])
    assert ways == {"tensorflow": ("as_released", 1), "theano": ("averaged", 1)}


def test_quick_distributed_fits_two_cores() -> None:
    study = load("quick-distributed")
    for trial in study.trials:
        if trial.settings.distribution == "elephas":
            assert slots(dict(trial.settings.distribution_options)) == 2
    assert all(trial.settings.time_limit_s for trial in study.trials)


def test_sweep_changes_one_factor_at_a_time() -> None:
    study = load("sweep")
    for backend in ("tensorflow", "jax", "torch", "theano"):
        trials = [trial for trial in study.trials if trial.settings.backend == backend]
        (baseline,) = [trial for trial in trials if trial.label == f"{backend} · baseline"]
        for trial in trials:
            changed = {key for key in trial.axes if trial.axes[key] != baseline.axes[key]}
            assert len(changed) == (trial is not baseline)
    assert {key.rpartition(".")[2] for key in study.matrix_keys} == {
        *("contestant", "global_batch_size", "image_size", "threads", "filters", "kernel_sizes", "dense")
    }


def test_smoke_needs_no_framework() -> None:
    assert {trial.settings.backend for trial in load("smoke").trials} == {"fake"}


def test_every_setting_can_be_written() -> None:
    of_study = {"order", "turn_steps"}  # hold for all trials of a file
    assert {*SETTINGS, "content", *of_study} == {field.name for field in dataclasses.fields(TrialSettings)}


def test_every_backend_has_an_environment() -> None:
    assert all(default_environment(name) for name in registry.backends())
