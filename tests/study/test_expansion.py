"""What a right file means: trials, labels, overrides, files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from bakeoff.study import Study, load

Load = Callable[..., Study]
MODEL = "def build(input_shape, num_classes):\n    ...\n"


def labels(study: Study) -> list[str]:
    return [trial.label for trial in study.trials]


def test_a_backend_is_enough(load_text: Load) -> None:
    study = load_text('[defaults]\nbackend = "jax"')
    (trial,) = study.trials
    assert (study.name, study.title, study.repeats, study.seed) == ("study", "study", 3, 0)
    assert (trial.label, trial.axes) == ("jax", {})
    assert trial.settings.environment == "jax"
    assert trial.settings.optimizer_options == {
        "beta_1": 0.9,
        "beta_2": 0.999,
        "epsilon": 1e-7,
        "amsgrad": False,
    }


def test_a_matrix_is_a_product_in_the_order_of_the_file(load_text: Load) -> None:
    study = load_text(
        '[matrix]\ndataset = ["mnist", "cifar10"]\nbackend = ["jax", "torch"]\nglobal_batch_size = [100, 200]'
    )
    assert labels(study)[:3] == [
        "mnist · jax · batch 100",
        "mnist · jax · batch 200",
        "mnist · torch · batch 100",
    ]
    assert len(study.trials) == 8
    assert study.matrix_keys == ("dataset", "contestant", "global_batch_size")
    assert study.trials[0].axes == {"dataset": "mnist", "contestant": "jax", "global_batch_size": 100}


def test_one_backend_in_two_environments_are_two_contestants(load_text: Load) -> None:
    study = load_text(
        """
        [matrix]
        contestant = [
            { backend = "theano" },
            { backend = "theano", environment = "vintage" },
            { backend = "tensorflow1", environment = "vintage" },
            { backend = "jax", environment = "old-jax" },
        ]
        [environments.old-jax]
        python = "venv/bin/python"
        """
    )
    assert labels(study) == ["theano", "theano (vintage)", "tensorflow1", "jax (old-jax)"]


def test_one_at_a_time_goes_around_each_row_of_the_matrix(load_text: Load) -> None:
    study = load_text(
        """
        [matrix]
        backend = ["jax", "torch"]
        [one_at_a_time]
        global_batch_size = [100, 200]
        model_options.filters = [[60, 30]]
        """
    )
    assert labels(study) == [
        *("jax · baseline", "jax · batch 100", "jax · filters 60-30"),
        *("torch · baseline", "torch · batch 100", "torch · filters 60-30"),
    ]


def test_options_of_models_and_optimizers_are_axes(load_text: Load) -> None:
    study = load_text(
        '[matrix]\nbackend = ["jax"]\noptimizer_options.beta_1 = [0, 0.9]\nmodel_options.dense = [[], [50]]'
    )
    assert labels(study)[:2] == ["dense none · beta 1 0.0", "dense 50 · beta 1 0.0"]
    first = study.trials[0].settings
    assert first.optimizer_options["beta_1"] == 0.0 and first.optimizer_options["beta_2"] == 0.999


def test_the_default_spelled_out_is_the_same_trial(load_text: Load) -> None:
    plain = load_text('[defaults]\nbackend = "jax"')
    spelled = load_text(
        '[defaults]\nbackend = "jax"\nenvironment = "jax"\nepochs = 10\nmodel_options.filters = [30, 15]\n'
        'optimizer_options.beta_1 = 0.9\nthreads = "default"\ntrain_images = "all"\nlearning_rate = 0.001'
    )
    assert spelled.trials[0].trial_id == plain.trials[0].trial_id


def test_explicit_trials_add_to_the_matrix_and_stand_alone_without(load_text: Load) -> None:
    extra = '[[trials]]\nbackend = "torch"\njit = true\n'
    assert labels(load_text(extra)) == ["torch"]
    assert labels(load_text('[matrix]\nbackend = ["jax", "torch"]\n' + extra)) == [
        "jax · jit default",
        "torch · jit default",
        "torch · jit on",
    ]


def test_exclude_removes_partial_matches(load_text: Load) -> None:
    text = '[matrix]\nbackend = ["jax", "torch"]\ndataset = ["mnist", "cifar10"]\n'
    study = load_text(text + '[[exclude]]\nenvironment = "jax"\ndataset = "cifar10"\n')
    assert labels(study) == ["mnist · jax", "mnist · torch", "cifar10 · torch"]


def test_an_override_of_a_setting_holds_for_every_trial() -> None:
    study = load("quick", ["epochs=1", "dataset=mnist", "repeats=5", "seed=9"])
    assert labels(study) == ["tensorflow", "jax", "torch", "theano"]
    assert {trial.settings.epochs for trial in study.trials} == {1}
    assert (study.repeats, study.seed) == (5, 9)


def test_an_override_of_a_section_replaces_it() -> None:
    study = load("quick", ['matrix.backend=["jax"]', "defaults.epochs=7"])
    assert labels(study) == ["mnist", "fashion_mnist", "cifar10"]
    assert {trial.settings.epochs for trial in study.trials} == {7}


def test_an_override_reaches_composite_axes_and_extra_trials(load_text: Load) -> None:
    text = """
    [matrix]
    size = [{ epochs = 1, train_images = 500 }, { epochs = 2, train_images = 900 }]
    [[trials]]
    epochs = 3
    """
    study = load_text(text, "backend=fake", "epochs=4")
    assert [trial.settings.epochs for trial in study.trials] == [4, 4, 4]
    assert len(load_text(text, "backend=fake", "epochs=4", "train_images=500").trials) == 1


def test_a_step_that_an_override_empties_is_still_a_step(load_text: Load) -> None:
    text = """
    [defaults]
    backend = "jax"
    [matrix]
    way = [{ epochs = 1 }, { epochs = 2 }, { epochs = 2, jit = false }]
    """
    assert labels(load_text(text, "epochs=5")) == ["jit default", "jit off"]
    assert labels(load_text(text, "epochs=5", "jit=true")) == ["jax"]


def test_an_overridden_option_table_replaces_the_axes_of_its_options() -> None:
    study = load("sweep", ["model_options={dense = [10]}", "backend=jax"])
    assert {tuple(trial.settings.model_options["dense"]) for trial in study.trials} == {(10,)}
    assert {tuple(trial.settings.model_options["filters"]) for trial in study.trials} == {(30, 15)}


def test_adding_a_trial_leaves_the_ids_of_the_others(load_text: Load) -> None:
    fewer = load_text('[matrix]\nbackend = ["jax", "torch"]')
    more = load_text('[matrix]\nbackend = ["tensorflow", "jax", "torch"]\nglobal_batch_size = [200, 300]')
    assert {trial.trial_id for trial in fewer.trials} < {trial.trial_id for trial in more.trials}
    assert fewer.digest != more.digest


# ---- the user's own files -------------------------------------------------------------------------


def test_own_files_are_relative_to_the_study_and_known_by_their_paths_until_it_runs(
    load_text: Load, tmp_path: Path
) -> None:
    (tmp_path / "nets").mkdir()
    (tmp_path / "nets" / "mine.py").write_text(MODEL)
    (tmp_path / "photos" / "train" / "cat").mkdir(parents=True)
    (tmp_path / "photos" / "train" / "cat" / "1.png").write_bytes(b"1")
    text = '[defaults]\nbackend = "jax"\ndataset = "photos"\n[matrix]\nmodel = ["nets/mine.py", "lenet5"]\n'
    text += "[targets]\nphotos = 0.05\n"
    study = load_text(text)
    mine, lenet = study.trials
    assert labels(study) == ["mine", "lenet5"]
    assert mine.settings.model == str(tmp_path / "nets" / "mine.py")
    assert mine.settings.content == lenet.settings.content == {}
    assert study.target_error == {str(tmp_path / "photos"): 0.05}


def test_two_files_of_one_name_are_told_apart(load_text: Load, tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "net.py").write_text(MODEL + f"# {folder}\n")
    study = load_text('[defaults]\nbackend = "jax"\n[matrix]\nmodel = ["a/net.py", "b/net.py"]\n')
    assert labels(study) == [str(tmp_path / "a" / "net.py"), str(tmp_path / "b" / "net.py")]


def test_a_model_file_takes_the_options_that_its_build_has(load_text: Load, tmp_path: Path) -> None:
    (tmp_path / "net.py").write_text("def build(input_shape, num_classes, width=8): ...\n")
    study = load_text(
        '[defaults]\nbackend = "jax"\nmodel = "net.py"\n[matrix]\nmodel_options.width = [8, 16]\n'
    )
    assert labels(study) == ["width 8", "width 16"]


def test_an_override_path_is_relative_to_where_we_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mine.py").write_text(MODEL)
    monkeypatch.chdir(tmp_path)
    study = load("quick", ["model=mine.py", "dataset=mnist", "backend=jax"])
    assert study.trials[0].settings.model == str(tmp_path / "mine.py")


def test_environments_keep_their_links(load_text: Load, tmp_path: Path) -> None:
    (tmp_path / "real").write_text("")
    (tmp_path / "python").symlink_to(tmp_path / "real")
    (tmp_path / "jax.lock").write_text("jax==0.4.0 --hash=sha256:00\n")
    study = load_text(
        """
        [matrix]
        environment = ["mine", "older"]
        [defaults]
        backend = "jax"
        [environments.mine]
        python = "python"
        [environments.older]
        lock = "jax.lock"
        python_version = "3.10"
        """
    )
    assert study.environments["mine"].python == tmp_path / "python"
    assert study.environments["older"].lock == tmp_path / "jax.lock"
    assert study.environments["older"].python_version == "3.10"
    assert labels(study) == ["jax (mine)", "jax (older)"]
