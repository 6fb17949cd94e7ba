"""``[follow_up]``: which trials each value of the axis has ready, and which files are mistakes."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from bakeoff.study import FollowUp, Study, load

Load = Callable[..., Study]
Mistakes = Callable[..., list[str]]

STUDY = """
[defaults]
environment = "vintage_spark"
distribution = "elephas"

[matrix]
backend = ["theano", "tensorflow1"]
distribution_options.layout = ["2x1", "1x2"]

[[trials]]
backend = "theano"
distribution = "single"
"""
THEN = '[follow_up]\nchoose = "distribution_options.layout"\n'
FASHION = THEN + '[follow_up.set]\ndataset = "fashion_mnist"\n'


def follow_up_of(study: Study) -> FollowUp:
    assert study.follow_up is not None
    return study.follow_up


def test_each_value_has_its_trials_ready_and_one_machine_goes_along(load_text: Load) -> None:
    study = load_text(STUDY + FASHION)
    follow_up = follow_up_of(study)
    assert follow_up.choose == "distribution_options.layout"
    assert follow_up.changes == {"dataset": "fashion_mnist"}
    assert {branch.value: [trial.label for trial in branch.trials] for branch in follow_up.branches} == {
        "2x1": [
            "fashion_mnist · theano (vintage_spark) · 2x1",
            "fashion_mnist · tensorflow1 · 2x1",
            "fashion_mnist · theano (vintage_spark) · one machine",
        ],
        "1x2": [
            "fashion_mnist · theano (vintage_spark) · 1x2",
            "fashion_mnist · tensorflow1 · 1x2",
            "fashion_mnist · theano (vintage_spark) · one machine",
        ],
    }
    assert [trial.label for trial in study.trials][:2] == [
        "mnist · theano (vintage_spark) · 2x1",
        "mnist · theano (vintage_spark) · 1x2",
    ]
    every = [*study.trials, *(trial for branch in follow_up.branches for trial in branch.trials)]
    assert len({t.label for t in every}) == len({t.trial_id for t in every}) == 5 + 5
    assert all(set(trial.axes) <= set(study.matrix_keys) for trial in every)


def test_trials_that_differ_in_the_axis_alone_are_compared(load_text: Load) -> None:
    study = load_text(STUDY + FASHION)
    first, second = follow_up_of(study).branches
    by_name = {name: trial_id for trial_id, name in second.compared.items()}
    trials = {trial.trial_id: trial.settings for trial in study.trials}
    assert len(first.compared) == len(second.compared) == 2  # one machine is not among them
    for trial_id, name in first.compared.items():
        one, other = trials[trial_id], trials[by_name[name]]
        assert one.backend == other.backend
        assert one.distribution_options["layout"] == "2x1" and other.distribution_options["layout"] == "1x2"


def test_the_follow_up_leaves_the_other_trials_as_they_are(load_text: Load) -> None:
    plain, then = load_text(STUDY), load_text(STUDY + FASHION)
    assert [t.trial_id for t in plain.trials] == [t.trial_id for t in then.trials]
    assert plain.digest != then.digest != load_text(STUDY + FASHION, "follow_up.set.dataset=cifar10").digest
    assert json.loads(json.dumps(then.document()))["follow_up"]["branches"][1]["value"] == "1x2"


def test_trials_that_it_makes_alike_run_once_and_those_of_the_study_not_again(load_text: Load) -> None:
    text = (
        '[defaults]\nbackend = "jax"\n[matrix]\nglobal_batch_size = [100, 200]\nepochs = [1, 2]\n'
        '[follow_up]\nchoose = "global_batch_size"\n[follow_up.set]\nepochs = '
    )
    assert [len(branch.trials) for branch in follow_up_of(load_text(text + "3")).branches] == [1, 1]
    study = load_text(text + '2\n[[trials]]\nglobal_batch_size = 100\nepochs = 5\ndataset = "cifar10"')
    # mnist with two epochs is in the study; cifar10 with two epochs is not.
    assert [[trial.label for trial in branch.trials] for branch in follow_up_of(study).branches] == [
        ["cifar10 · epochs 2 · batch 100"],
        [],
    ]


@pytest.mark.parametrize(
    ("choose", "axis", "values"),
    [
        ("global_batch_size", "global_batch_size = [100, 200]", [100, 200]),
        ("model_options.filters", "model_options.filters = [[30, 15], [8, 4]]", [[30, 15], [8, 4]]),
        ("optimizer", 'optimizer = ["adam", "sgd"]', ["adam", "sgd"]),
        ("model", 'model = ["study_cnn", "lenet5"]', ["study_cnn", "lenet5"]),
        ("threads", 'threads = [1, "default"]', [1, None]),
    ],
)
def test_any_axis_will_do(load_text: Load, choose: str, axis: str, values: list[object]) -> None:
    study = load_text(
        f'[matrix]\nbackend = ["jax", "torch"]\n{axis}\n[follow_up]\nchoose = "{choose}"\nset.epochs = 50\n'
    )
    branches = follow_up_of(study).branches
    assert [branch.value for branch in branches] == values
    assert len({frozenset(branch.compared.values()) for branch in branches}) == 1
    assert [len(branch.trials) for branch in branches] == [2, 2]
    assert {trial.settings.epochs for branch in branches for trial in branch.trials} == {50}


def test_the_contestant_is_an_axis_too(load_text: Load) -> None:
    study = load_text(
        '[matrix]\nbackend = ["jax", "torch"]\nglobal_batch_size = [100, 200]\n'
        '[follow_up]\nchoose = "contestant"\nset.dataset = "cifar10"\n'
    )
    first, second = follow_up_of(study).branches
    assert (first.value, second.value) == ("jax", "torch")
    assert set(first.compared.values()) == set(second.compared.values())
    assert {trial.settings.backend for trial in second.trials} == {"torch"}


# ---- overrides ------------------------------------------------------------------------------------


def test_an_override_of_the_axis_leaves_a_single_value(load_text: Load) -> None:
    for override in ("distribution_options.layout=3x1", 'matrix.distribution_options.layout=["3x1"]'):
        (branch,) = follow_up_of(load_text(STUDY + FASHION, override)).branches
        assert branch.value == "3x1" and len(branch.trials) == 3


def test_an_override_of_what_it_changes_leaves_nothing_to_follow(load_text: Load) -> None:
    assert load_text(STUDY + FASHION, "dataset=mnist").follow_up is None
    assert load_text(STUDY + FASHION, "follow_up={}").follow_up is None
    assert load("paper-distributed", ["dataset=mnist"]).follow_up is None


def test_an_override_reaches_the_trials_that_follow(load_text: Load) -> None:
    study = load_text(STUDY + FASHION, "epochs=7", "distribution_options.batch_size_per_task=50")
    for branch in follow_up_of(study).branches:
        assert {trial.settings.epochs for trial in branch.trials} == {7}
        assert [t.settings.distribution_options.get("batch_size_per_task") for t in branch.trials] == [
            *(50, 50),
            None,
        ]


# ---- mistakes -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            '[follow_up]\nchoose = "layout"\nset.epochs = 3',
            "$.follow_up.choose: expected one of `contestant`, `distribution`, "
            "`distribution_options.layout`; got `layout`; did you mean `distribution_options.layout`?",
        ),
        (
            '[follow_up]\nchoose = "backend"\nset.epochs = 3',
            "$.follow_up.choose: expected one of `contestant`, `distribution`, "
            "`distribution_options.layout`; got `backend`; did you mean `contestant`?",
        ),
        (
            '[follow_up]\nchoose = "epochs"\nset.dataset = "cifar10"',
            "$.follow_up.choose: expected one of `contestant`, `distribution`, "
            "`distribution_options.layout`; got `epochs`, which has a single value",
        ),
        (
            THEN + "set.epochs = 0",
            "$.follow_up.set.epochs: expected at least 1; got `0`",
        ),
        (
            THEN + "set.epoch = 3",
            "$.follow_up.set.epoch: unknown key `epoch`; did you mean `epochs`?",
        ),
        (
            THEN + 'set.dataset = "fashion"',
            "$.follow_up.set.dataset: expected one of `mnist`, `fashion_mnist`, `cifar10`, or the path of a "
            "`.npz`, `.parquet`, `.csv` or `.py` file, or of a folder of images or tables; got `fashion`; "
            "did you mean `fashion_mnist`?",
        ),
        (
            THEN + 'set.distribution_options.layout = "2x1"',
            "$.follow_up.set.distribution_options.layout: `distribution_options.layout` is what the "
            "follow-up chooses",
        ),
        (
            THEN + 'set.distribution_options.archive = "environment.tar.gz"',
            "$.follow_up.set.distribution_options.archive: expected an absolute path or a URL; "
            "got `environment.tar.gz`",
        ),
        (
            THEN + "set.epochs = 10",
            "$.follow_up.set: changes nothing: all of these trials are in the study already",
        ),
        (THEN, "$.follow_up: expected `set`: a table of what then changes"),
        ("follow_up.set.epochs = 3", "$.follow_up: expected `choose`: the axis whose better value goes on"),
        (
            THEN + "metric = 'wall_s'\nset.epochs = 3",
            "$.follow_up.metric: unknown key `metric`",
        ),
    ],
)
def test_one_mistake(mistakes: Mistakes, text: str, message: str) -> None:
    text = f"{text}\n{STUDY}" if text.startswith("follow_up.") else STUDY + text
    assert mistakes(text) == [f"study.toml: {message}"]


def test_values_that_never_differ_alone_cannot_be_compared(mistakes: Mistakes) -> None:
    assert mistakes(
        '[defaults]\nbackend = "jax"\n'
        "[matrix]\nsize = [{ epochs = 1, train_images = 500 }, { epochs = 2, train_images = 900 }]\n"
        '[follow_up]\nchoose = "epochs"\nset.dataset = "cifar10"\n'
    ) == ["study.toml: $.follow_up.choose: no two trials differ in `epochs` alone: nothing to compare"]


def test_a_trial_that_could_not_follow_is_found_before_anything_runs(mistakes: Mistakes) -> None:
    assert mistakes(
        '[defaults]\nbackend = "jax"\ntrain_images = 60000\n[matrix]\nglobal_batch_size = [100, 200]\n'
        '[follow_up]\nchoose = "global_batch_size"\nset.dataset = "cifar10"\n'
    ) == ["study.toml: $.defaults.train_images: `cifar10` has 50000 images here; got 60000"]


def test_mistakes_of_the_follow_up_come_with_all_others(mistakes: Mistakes) -> None:
    found = mistakes(STUDY + "epoch = 3\n" + THEN + "set.epochs = 0\n")
    assert len(found) == 2
