"""Trials on a cluster: which options they have, what must hold between them, how they are called."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from bakeoff.study import Study, load
from bakeoff_worker.distribution.catalogue import DISTRIBUTIONS

Load = Callable[..., Study]
Mistakes = Callable[..., list[str]]

ELEPHAS = '[defaults]\nbackend = "theano"\ndistribution = "elephas"\n'
WHERE = """
    where = [
        { distribution = "single" },
        { distribution = "elephas", distribution_options.layout = "2x1" },
        { distribution = "elephas", distribution_options.layout = "1x2" },
    ]
"""
MIXED = '[matrix]\nbackend = ["theano", "tensorflow"]' + WHERE


def labels(study: Study) -> list[str]:
    return [trial.label for trial in study.trials]


def test_elephas_is_enough_and_every_option_is_spelled_out(load_text: Load) -> None:
    (trial,) = load_text(ELEPHAS).trials
    assert trial.settings.environment == "theano_spark"
    assert trial.settings.distribution_options == DISTRIBUTIONS["elephas"]
    assert load_text(ELEPHAS + 'distribution_options.layout = "5x4"').trials[0].trial_id == trial.trial_id
    assert load_text(ELEPHAS + 'distribution_options.layout = "4x5"').trials[0].trial_id != trial.trial_id


def test_one_machine_is_what_it_always_was(load_text: Load) -> None:
    spelled = '[defaults]\nbackend = "theano"\ndistribution = "single"\ndata_scale = 1'
    plain = '[defaults]\nbackend = "theano"'
    assert load_text(spelled).trials[0].trial_id == load_text(plain).trials[0].trial_id
    assert load_text(plain).trials[0].settings.distribution_options == {}
    # Golden, from the release before there were clusters: what was measured then is not measured again.
    assert [trial.trial_id for trial in load("vintage-3").trials] == ["c3cf41a83b602182", "232a3779df7cb7f8"]


@pytest.mark.parametrize(
    ("backend", "environment"),
    [("tensorflow", "tensorflow_spark"), ("theano", "theano_spark"), ("tensorflow1", "vintage_spark")],
)
def test_a_backend_has_an_environment_of_its_own_there(
    load_text: Load, backend: str, environment: str
) -> None:
    study = load_text(f'[defaults]\nbackend = "{backend}"\ndistribution = "elephas"')
    assert study.trials[0].settings.environment == environment
    assert labels(study) == [backend]


# ---- options of a cluster beside one machine ------------------------------------------------------


def test_options_in_defaults_hold_for_the_trials_on_a_cluster(load_text: Load) -> None:
    study = load_text("[defaults]\ndistribution_options.batch_size_per_task = 50\n" + MIXED)
    found = {
        trial.label: trial.settings.distribution_options.get("batch_size_per_task") for trial in study.trials
    }
    assert found == {
        "theano · one machine": None,
        "theano (theano_spark) · 2x1": 50,
        "theano (theano_spark) · 1x2": 50,
        "tensorflow · one machine": None,
        "tensorflow (tensorflow_spark) · 2x1": 50,
        "tensorflow (tensorflow_spark) · 1x2": 50,
    }


def test_so_do_overrides(load_text: Load) -> None:
    study = load_text(MIXED, "distribution_options.layout=3x1", "distribution_options.master=yarn")
    options = [trial.settings.distribution_options for trial in study.trials]
    assert [one.get("layout") for one in options] == [None, "3x1", None, "3x1"]
    assert [one.get("master") for one in options] == [None, "yarn", None, "yarn"]


def test_an_option_that_no_trial_takes_is_a_mistake(mistakes: Mistakes) -> None:
    message = "no trial of this study runs on a cluster: none has distribution `elephas`"
    assert mistakes('[defaults]\nbackend = "jax"\ndistribution_options.layout = "2x2"') == [
        f"study.toml: $.defaults.distribution_options.layout: {message}"
    ]
    assert mistakes('[defaults]\nbackend = "jax"', "distribution_options.master=yarn") == [
        f"--set distribution_options.master: {message}"
    ]


def test_an_override_may_leave_one_machine_alone(load_text: Load) -> None:
    text = "[defaults]\ndistribution_options.rounds = 2\n" + MIXED
    (only,) = load_text(text, "matrix={}", "backend=theano").trials
    assert only.settings.distribution == "single"


def test_a_misspelled_one_is_found_though_one_machine_has_none(mistakes: Mistakes) -> None:
    assert mistakes(MIXED, "distribution_options.layuot=2x2") == [
        "--set distribution_options.layuot: distribution `elephas` has no option `layuot`; it has "
        + ", ".join(f"`{name}`" for name in DISTRIBUTIONS["elephas"])
        + "; did you mean `layout`?"
    ]


def test_an_axis_of_options_is_no_axis_of_one_machine(mistakes: Mistakes) -> None:
    (mistake,) = mistakes(
        '[matrix]\nbackend = ["theano"]\ndistribution = ["single", "elephas"]\n'
        'distribution_options.layout = ["2x2"]'
    )
    assert mistake.startswith(
        "study.toml: $.matrix.distribution_options.layout[0]: distribution `single` has no options"
    )


# ---- what must hold -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            'layout = "20"',
            'layout: expected nodes x cores per node, such as `5x4`; got `"20"`',
        ),
        ("layout = 5", "layout: expected nodes x cores per node, such as `5x4`; got `5`"),
        (
            'master = "http://here:7077"',
            "master: expected `embedded`, `spark://HOST:PORT`, `yarn` or `k8s://HOST:PORT`; "
            'got `"http://here:7077"`',
        ),
        (
            'mode = "async"',
            'mode: expected one of `asynchronous`, `synchronous`, `hogwild`; got `"async"`; '
            "did you mean `asynchronous`?",
        ),
        ('merge = "sum"', 'merge: expected one of `as_released`, `averaged`; got `"sum"`'),
        ("rounds = 0", "rounds: expected a whole number of at least 1; got `0`"),
        ("rounds = 2", "rounds: Elephas's parameter server serves one fit; got 2 rounds: expected 1"),
        (
            'rounds = 3\ndistribution_options.mode = "synchronous"',
            "rounds: 10 epochs can't be split into 3 rounds: expected a divisor, "
            'or "epochs" for one round an epoch',
        ),
        (
            'merge = "averaged"',
            "merge: `averaged` corrects mode `synchronous` alone; the mode is `asynchronous`",
        ),
        ('archive = "env.tar.gz"', "archive: expected an absolute path or a URL; got `env.tar.gz`"),
        ("task_cpus = 3", "task_cpus: 4 cores on a node can't be shared by tasks of 3: expected a divisor"),
        ("python_memory_mib = -1", "python_memory_mib: expected a whole number of at least 0; got `-1`"),
        ("reuse_python_workers = 1", "reuse_python_workers: expected true or false; got `1`"),
        ("archive = 7", "archive: expected text; got `7`"),
        (
            "batch_size_per_executor = 9",
            "batch_size_per_executor: distribution `elephas` has no option `batch_size_per_executor`; it has "
            + ", ".join(f"`{name}`" for name in DISTRIBUTIONS["elephas"])
            + "; did you mean `batch_size_per_task`?",
        ),
    ],
)
def test_a_wrong_option(mistakes: Mistakes, text: str, message: str) -> None:
    assert mistakes(f"{ELEPHAS}distribution_options.{text}") == [
        f"study.toml: $.defaults.distribution_options.{message}"
    ]


def test_zero_means_no_limit_and_empty_means_the_usual_place(load_text: Load) -> None:
    assert load_text(ELEPHAS + "distribution_options = { python_memory_mib = 0, archive = '' }").trials


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            'backend = "jax"',
            "$.defaults.backend: distribution `elephas`: no release of Elephas runs with `jax`: expected one "
            "of `theano`, `tensorflow1`, `tensorflow`",
        ),
        (
            'backend = "theano"\nenvironment = "theano"',
            "$.defaults.environment: distribution `elephas`: `theano` has Spark and Elephas in "
            "`theano_spark`, `vintage_spark`, not in `theano`",
        ),
        (
            'backend = "tensorflow"\nenvironment = "theano_spark"',
            "$.defaults.environment: environment `theano_spark` serves `theano`, not `tensorflow`, "
            "which runs in `tensorflow`, `tensorflow_gpu`, `tensorflow_spark`",
        ),
        (
            'backend = "theano"\ndevice = "gpu"',
            "$.defaults.device: a cluster trains on CPUs only here; expected device `cpu`",
        ),
        (
            'backend = "theano"\ndata_scale = 0',
            "$.defaults.data_scale: expected at least 1; got `0`",
        ),
    ],
)
def test_a_wrong_setting(mistakes: Mistakes, text: str, message: str) -> None:
    assert mistakes(f'[defaults]\ndistribution = "elephas"\n{text}') == [f"study.toml: {message}"]


def test_a_wrong_distribution_is_one_mistake(mistakes: Mistakes) -> None:
    assert mistakes(
        '[defaults]\nbackend = "jax"\ndistribution = "spark"\ndistribution_options.mode = "x"'
    ) == [
        "study.toml: $.defaults.distribution: expected one of `single`, `elephas`; got `spark`; "
        "did you mean `elephas`?"
    ]


def test_an_environment_of_ones_own_may_have_elephas(load_text: Load, tmp_path: Path) -> None:
    study = load_text(
        ELEPHAS + 'environment = "mine"\n[environments.mine]\npython = "/opt/spark/bin/python"\n'
    )
    assert study.trials[0].settings.environment == "mine"


def test_the_batch_on_a_cluster_is_not_the_global_one(load_text: Load) -> None:
    """A partition no larger than a batch is Elephas's business, and marked in the results."""
    assert load_text(ELEPHAS + "train_images = 100").trials


# ---- names ----------------------------------------------------------------------------------------


def test_an_environment_is_named_where_a_backend_has_several(load_text: Load) -> None:
    study = load_text(
        """
        [matrix]
        contestant = [
            { backend = "theano" },
            { backend = "theano", distribution = "elephas" },
            { backend = "theano", distribution = "elephas", environment = "vintage_spark" },
            { backend = "tensorflow1", distribution = "elephas" },
            { backend = "tensorflow1", environment = "vintage_spark" },
        ]
        """
    )
    assert labels(study) == [
        "theano · one machine",
        "theano (theano_spark) · elephas",
        "theano (vintage_spark) · elephas",
        "tensorflow1 · elephas",
        "tensorflow1 · one machine",
    ]


@pytest.mark.parametrize(
    ("option", "values", "expected"),
    [
        ("layout", '["5x4", "4x5"]', ["5x4", "4x5"]),
        ("mode", '["asynchronous", "synchronous"]', ["asynchronous", "synchronous"]),
        ("merge", '["as_released", "averaged"]', ["theano", "merge averaged"]),
        ("executors", '["cold", "warm"]', ["executors cold", "executors warm"]),
        ("data_source", '["driver", "parquet"]', ["data from driver", "data from parquet"]),
        ("frequency", '["epoch", "batch"]', ["every epoch", "every batch"]),
        ("parameter_server", '["http", "socket"]', ["server http", "server socket"]),
        ("batch_size_per_task", "[100, 200]", ["batch per task 100", "batch per task 200"]),
        ("rounds", "[1, 5]", ["rounds 1", "rounds 5"]),
        ("master", '["embedded", "yarn"]', ["master embedded", "master yarn"]),
    ],
)
def test_a_label_says_what_its_value_alone_would_not(
    load_text: Load, option: str, values: str, expected: list[str]
) -> None:
    mode = "" if option == "mode" else 'distribution_options.mode = "synchronous"\n'
    text = f"{ELEPHAS}{mode}[matrix]\ndistribution_options.{option} = {values}"
    assert labels(load_text(text)) == expected


def test_variants_read_as_one_would_say_them(load_text: Load) -> None:
    study = load_text(
        ELEPHAS
        + """
        [matrix]
        distribution_options.layout = ["5x4", "4x5"]
        variant = [
            { distribution_options.mode = "synchronous" },
            { distribution_options.mode = "synchronous", distribution_options.merge = "averaged" },
        ]
        [[trials]]
        distribution_options.mode = "asynchronous"
        """
    )
    assert labels(study) == [
        "5x4 · synchronous",
        "5x4 · synchronous · merge averaged",
        "4x5 · synchronous",
        "4x5 · synchronous · merge averaged",
        "5x4 · asynchronous",
    ]
