"""Wrong files: every mistake at once, each with its path and what to write instead."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bakeoff import registry
from bakeoff.errors import StudyError
from bakeoff.study import Study, load
from bakeoff.study.schema import SECTIONS, SETTINGS

Mistakes = Callable[..., list[str]]
BACKENDS = ", ".join(f"`{name}`" for name in registry.backends())


def test_all_mistakes_of_a_file_at_once(mistakes: Mistakes) -> None:
    found = mistakes(
        """
        name = "my study"
        repeat = 3
        seed = "one"

        [defaults]
        batch_size = 128
        epochs = 2.5
        optimizer = "adm"
        optimizer_options.beta1 = 0.8
        threads = "all"
        jit = "yes"
        precision = "float16"
        seed = 3

        [matrix]
        backend = ["tensorflow", "pytorch2", "jax", "jax"]
        dataset = "mnist"
        models = ["lenet5"]
        device = ["cpu", "tpu"]

        [one_at_a_time]
        device = ["gpu"]
        model_options.filters = [30, 15]

        [[trials]]
        backend = "theano"
        dataset = "data/missing.npz"

        [environments.vintage]
        python = "/usr/bin/python3"

        [environments.locked]
        lock = "nowhere.txt"
        python_version = "latest"

        [targets]
        mnist = 5
        """
    )
    assert found == [
        "study.toml: $.name: expected letters, digits, `.`, `_` and `-`, the first one a letter or digit; "
        'got `"my study"`',
        "study.toml: $.repeat: unknown key `repeat`; did you mean `repeats`?",
        'study.toml: $.seed: expected a whole number; got `"one"`',
        "study.toml: $.environments.vintage: `vintage` is one of Bakeoff's own environments; "
        "give yours another name",
        'study.toml: $.environments.locked.python_version: expected a version such as `3.11`; got `"latest"`',
        "study.toml: $.environments.locked.lock: no such file: `nowhere.txt`",
        "study.toml: $.defaults.batch_size: unknown key `batch_size`; did you mean `global_batch_size`?",
        "study.toml: $.defaults.epochs: expected a whole number; got `2.5`",
        "study.toml: $.defaults.optimizer: expected one of `adam`, `adamw`, `adamax`, `rmsprop`, `sgd`, "
        "`own`; got `adm`; did you mean `adam`?",
        'study.toml: $.defaults.threads: expected a whole number or "default"; got `"all"`',
        'study.toml: $.defaults.jit: expected true or false or "default"; got `"yes"`',
        "study.toml: $.defaults.precision: expected one of `float32`, `float64`, `mixed_float16`, "
        "`mixed_bfloat16`; got `float16`",
        "study.toml: $.defaults.seed: unknown key `seed`: it belongs at the top of the file",
        f"study.toml: $.matrix.backend[1]: expected one of {BACKENDS}; got `pytorch2`; did you mean `torch`?",
        "study.toml: $.matrix.backend[3]: repeats $.matrix.backend[2]",
        'study.toml: $.matrix.dataset: expected a list of values; got `"mnist"`: write `[...]`',
        "study.toml: $.matrix.models: unknown key `models`; did you mean `model`?",
        "study.toml: $.matrix.device[1]: expected one of `cpu`, `gpu`; got `tpu`; did you mean `gpu`?",
        "study.toml: $.one_at_a_time.device: `device` varies along $.matrix.device already",
        "study.toml: $.trials[0].dataset: no such file: `data/missing.npz`",
        "study.toml: $.defaults.optimizer_options.beta1: optimizer `adam` has no option `beta1`; it has "
        "`beta_1`, `beta_2`, `epsilon`, `amsgrad`; did you mean `beta_1`?",
        "study.toml: $.one_at_a_time.model_options.filters[0]: expected a list of whole numbers of at least "
        "1, since an axis is a list of lists; got `30`",
        "study.toml: $.one_at_a_time.model_options.filters[1]: expected a list of whole numbers of at least "
        "1, since an axis is a list of lists; got `15`",
        "study.toml: $.targets.mnist: expected a fraction between 0 and 1 (5 % is 0.05); got `5`",
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "$: no backend: name one here or in [defaults], or several in [matrix]"),
        (
            '[matrix]\ndataset = ["mnist"]',
            "$: no backend: name one here or in [defaults], or several in [matrix]",
        ),
        (
            '[defaults]\nbackend = "jax"\n[[exclude]]\nbackend = "jax"',
            "$.exclude: every trial is excluded: nothing is left to run",
        ),
        (
            '[defaults]\nbackend = "jax"\n[[exclude]]\nbackend = "torch"',
            "$.exclude[0]: no trial matches backend = torch",
        ),
        (
            '[matrix]\nbackend = ["jax"]\n[[trials]]\nbackend = "jax"',
            "$.trials[0]: this trial is planned twice: backend = jax",
        ),
        (
            '[defaults]\nenvironment = "vintage"\n[matrix]\nbackend = ["theano", "jax"]',
            "$.defaults.environment: environment `vintage` serves `theano`, `tensorflow1`, not `jax`, "
            "which runs in `jax`, `jax_0_4`, `jax_gpu`",
        ),
        (
            '[defaults]\nbackend = "jax"\nenvironment = "jaxx"',
            "$.defaults.environment: expected one of `theano`, `vintage`, `tensorflow`, `jax`, `jax_0_4`, "
            "`torch`, `fake`, `tensorflow_gpu`, `jax_gpu`, `torch_gpu`, `theano_spark`, `vintage_spark`, "
            "`tensorflow_spark`; got `jaxx`; did you mean `jax`?",
        ),
        (
            '[defaults]\nbackend = "jax"\ntrain_images = 100',
            "$.defaults.train_images: a batch of 200 is larger than the 100 training images",
        ),
        (
            '[defaults]\nbackend = "jax"\ntrain_images = 55000\nevaluation_split = "validation"',
            "$.defaults.train_images: `mnist` has 54000 images here (6000 are held out for validation); "
            "got 55000",
        ),
        (
            '[defaults]\nbackend = "jax"\ndata_scale = 4\ntrain_images = 240001',
            "$.defaults.train_images: `mnist` has 240000 images here (data_scale is 4); got 240001",
        ),
        (
            '[defaults]\nbackend = "jax"\ndata_scale = 4\nevaluation_images = 10001',
            "$.defaults.evaluation_images: `mnist` has 10000 images here; got 10001",
        ),
        (
            '[defaults]\nbackend = "jax"\nimage_size = 6',
            "$.defaults.image_size: images of 6 pixels are too small for kernels [5, 3] with pooling by 2: "
            "convolution 2 gets 1 pixels and leaves 0",
        ),
        (
            '[defaults]\nbackend = "jax"\nmodel_options.filters = [8]',
            "$.defaults.model_options.filters: expected one kernel size for each of the 1 filter counts; "
            "got 2",
        ),
        (
            '[defaults]\nbackend = "jax"\nmodel = "lenet5"\nmodel_options.filters = [8]',
            "$.defaults.model_options.filters: model `lenet5` has no options; give `filters` only where the "
            "model has it, in a list of tables or in [[trials]]",
        ),
        (
            '[defaults]\nbackend = "jax"\nmodel = "resnet50"',
            "$.defaults.model: expected one of `study_cnn`, `keras_mnist_convnet`, `keras_cifar10_convnet`, "
            "`lenet5`, `resnet20`, or the path of a Python file with `build(input_shape, num_classes)`; "
            "got `resnet50`; did you mean `resnet20`?",
        ),
        (
            '[defaults]\nbackend = "tf"',
            f"$.defaults.backend: expected one of {BACKENDS}; got `tf`; did you mean `tensorflow`?",
        ),
        (
            '[defaults]\nbackend = "jax"\nvalidation_fraction = 1',
            "$.defaults.validation_fraction: expected less than 1; got `1`",
        ),
        ('[defaults]\nbackend = "jax"\nepochs = 0', "$.defaults.epochs: expected at least 1; got `0`"),
        (
            '[defaults]\nbackend = "jax"\nepochs = true',
            "$.defaults.epochs: expected a whole number; got `true`",
        ),
        (
            '[defaults]\nbackend = "jax"\nlearning_rate = nan',
            "$.defaults.learning_rate: expected a finite number; got `NaN`",
        ),
        (
            '[matrix]\nbackend = ["jax"]\na = [{ epochs = 1 }, { epochs = 2 }]\nepochs = [3]',
            "$.matrix.epochs: `epochs` varies along $.matrix.a already",
        ),
        (
            '[defaults]\nbackend = "jax"\n[targets]\nminst = 0.01',
            "$.targets.minst: expected a data set of this study; got `minst`; did you mean `mnist`?",
        ),
        (
            '[defaults]\nbackend = "jax"\n[environments.mine]\n',
            "$.environments.mine: expected `python` (an interpreter) or `lock` (a requirements file); "
            "got neither",
        ),
        ("x = [1\ny = 2", "line 2, column 1: Unclosed array"),
        ('x = "a', "line 1: Unterminated string"),
    ],
)
def test_one_mistake(mistakes: Mistakes, text: str, message: str) -> None:
    assert mistakes(text) == [f"study.toml: {message}"]


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("import os\n", "defines no function `build(input_shape, num_classes)`"),
        ("def build(:\n", "line 1: not Python"),
        ("def build(input_shape):\n    ...\n", "got `build(input_shape)`"),
        ("\n\ndef build(a, b, c):\n    ...\n", "line 3: expected `build(input_shape, num_classes)`"),
        ("def build(a, b, *, c):\n    ...\n", "got `build(a, b, *, c)`"),
        ("x = '\0'\n", ""),
    ],
)
def test_a_model_file_that_cannot_build(
    mistakes: Mistakes, tmp_path: Path, source: str, message: str
) -> None:
    (tmp_path / "net.py").write_text(source)
    (mistake,) = mistakes('[defaults]\nbackend = "jax"\nmodel = "net.py"')
    assert mistake.startswith("study.toml: $.defaults.model: `net.py`")
    assert message in mistake


@pytest.mark.parametrize(
    "source",
    [
        "from nets import build\n",
        "build = make(3)\n",
        "if True:\n    def build(a, b): ...\n",
        "def build(*args): ...\n",
        "def build(a, b, c=1, **d): ...\n",
    ],
)
def test_a_model_file_that_may_build(tmp_path: Path, source: str) -> None:
    (tmp_path / "net.py").write_text(source)
    (tmp_path / "study.toml").write_text('[defaults]\nbackend = "jax"\nmodel = "net.py"')
    assert load(tmp_path / "study.toml").trials[0].settings.model == str(tmp_path / "net.py")


def test_a_model_file_is_read_and_not_run(tmp_path: Path) -> None:
    (tmp_path / "net.py").write_text("def build(a, b): ...\nraise SystemExit\n")
    (tmp_path / "study.toml").write_text('[defaults]\nbackend = "jax"\nmodel = "net.py"')
    assert load(tmp_path / "study.toml").trials


def test_an_option_that_the_own_model_lacks(mistakes: Mistakes, tmp_path: Path) -> None:
    (tmp_path / "net.py").write_text("def build(a, b, width=1): ...\n")
    assert mistakes('[defaults]\nbackend = "jax"\nmodel = "net.py"\nmodel_options.widht = 2') == [
        "study.toml: $.defaults.model_options.widht: `build` in `net.py` takes no `widht`; "
        "did you mean `width`?"
    ]


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("epochs=0", "--set epochs: expected at least 1; got `0`"),
        ("epochs=ten", '--set epochs: expected a whole number; got `"ten"`'),
        ("epochs", "--set epochs: expected key=value, for example `--set repeats=2`"),
        ("batch_size=1", "--set batch_size: unknown key `batch_size`; did you mean `global_batch_size`?"),
        (
            'matrix.backend=["jax", "keras"]',
            f"--set matrix.backend[1]: expected one of {BACKENDS}; got `keras`; did you mean `tensorflow`?",
        ),
        ("matrix.epochs=3", "--set matrix.epochs: expected a list of values; got `3`: write `[...]`"),
        (
            "name.first=3",
            "--set name.first: the file has a value, not a table, above this key",
        ),
    ],
)
def test_a_wrong_override(mistakes: Mistakes, override: str, message: str) -> None:
    assert mistakes('name = "n"\n[defaults]\nbackend = "jax"', override) == [message]


def test_an_override_that_is_not_toml(mistakes: Mistakes) -> None:
    (mistake,) = mistakes('[defaults]\nbackend = "jax"', 'matrix.backend=["jax"')
    assert mistake.startswith('--set matrix.backend: not a TOML value: `["jax"` (')


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("qick", "no study of that name and no such file: `qick`; did you mean `quick`?"),
        ("no/such.toml", "no study of that name and no such file: `no/such.toml`"),
    ],
)
def test_no_such_study(source: str, message: str) -> None:
    with pytest.raises(StudyError) as caught:
        load(source)
    assert caught.value.problems == [message]
    assert "`paper-today`" in caught.value.hint


def test_a_folder_and_a_binary_are_no_studies(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match="expected a TOML file; got a folder"):
        load(tmp_path)
    (tmp_path / "x.toml").write_bytes(b"name = '\xff'")
    with pytest.raises(StudyError, match="not UTF-8 at byte 8"):
        load(tmp_path / "x.toml")


# ---- whatever is written, an answer rather than a traceback ---------------------------------------

scalars = st.one_of(
    st.booleans(),
    st.integers(-3, 300),
    st.floats(),
    st.sampled_from(
        ["jax", "tf", "mnist", "all", "default", "lenet5", "study_cnn", "x.py", "a/b.npz", "", "~x"]
    ),
    st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), max_size=5),
)
keys = st.sampled_from(
    [
        *(*SETTINGS, *SECTIONS, "batch_size", "filters", "kernel_sizes", "beta_1", "python", "lock"),
        *("contestant", "layout", "rounds"),
    ]
)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=4),
    max_leaves=8,
)
tables = st.dictionaries(keys, values, max_size=5)
files = st.fixed_dictionaries(
    {},
    optional={
        **dict.fromkeys(("defaults", "matrix", "one_at_a_time", "environments", "targets"), tables),
        "follow_up": st.fixed_dictionaries({}, optional={"choose": keys, "set": tables, "x": values}),
        **{section: st.lists(tables, max_size=2) for section in ("trials", "exclude")},
        **dict.fromkeys(("name", "title", "repeats", "seed"), scalars),
    },
)


def toml(value: Any) -> str:
    """An inline TOML value."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{toml(key)} = {toml(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(toml, value)) + "]"
    if isinstance(value, str):
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
    return str(value).lower()


@given(files, st.lists(st.tuples(keys, values), max_size=2))
def test_any_file_gives_a_study_or_its_mistakes(
    file: dict[str, Any], overrides: list[tuple[str, Any]]
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "study.toml"
        path.write_text("\n".join(f"{key} = {toml(value)}" for key, value in file.items()), encoding="utf-8")
        try:
            study = load(path, [f"{key}={toml(value)}" for key, value in overrides])
        except StudyError as error:
            assert error.problems and len(set(error.problems)) == len(error.problems)
        else:
            assert isinstance(study, Study) and study.trials
            assert len({trial.trial_id for trial in study.trials}) == len(study.trials)
            assert len({trial.label for trial in study.trials}) == len(study.trials)
            for branch in study.follow_up.branches if study.follow_up else ():
                assert not {trial.trial_id for trial in branch.trials} & {t.trial_id for t in study.trials}


def test_tf32_belongs_to_gpus(mistakes: Mistakes) -> None:
    (line,) = mistakes(
        """
        [defaults]
        backend = "jax"
        tf32 = true
        """
    )
    assert line.startswith(
        "study.toml: $.defaults.tf32: TF32 is a way in which GPUs round: expected device `gpu`"
    )
