"""Keys of a recipe: what each becomes, and every fault said beforehand, with the line that mends it."""

from __future__ import annotations

import pytest

from bakeoff_worker import backends
from bakeoff_worker.job import TrialSettings

STUDY = """
[defaults]
backend = "jax"
epochs = 10
{}
"""
VALIDATION = 'evaluation_split = "validation"\n'
# name: (keys, words of the one mistake)
FAULTS = {
    "adamw without decay": ('optimizer = "adamw"', ["weight_decay = 0.004"]),
    "two bounds": ("clip_norm = 1.0\nclip_value = 1.0", ["got `clip_value`, `clip_norm`", "all but one"]),
    "Keras's clipnorm": ("clipnorm = 1.0", ["`clip_norm`", "`clip_global_norm`", "two things"]),
    "Nesterov alone": ('optimizer = "sgd"\noptimizer_options.nesterov = true', ["momentum = 0.9"]),
    "smoothed class numbers": (
        'label_smoothing = 0.1\nloss = "sparse_categorical_crossentropy"',
        ['loss = "categorical_crossentropy"'],
    ),
    "smoothing of one": ("label_smoothing = 1.0", ["less than 1", "got `1.0`"]),
    "nine weights": (f"class_weights = {[1] * 9}", ["expected 10 numbers", "got 9"]),
    "a negative weight": ("class_weights = [1, -1]", ['"balanced"', "above 0", "got `[1, -1]`"]),
    "step without epochs": ('schedule = "step"', ["got []", "schedule_options = {at_epochs = [5]}"]),
    "steps too late": (
        'schedule = "step"\nschedule_options.at_epochs = [5, 10]',
        ["less than 10", "[5, 10]"],
    ),
    "a long warm-up": ('schedule = "cosine"\nschedule_options.warm_up_epochs = 10', ["10 of 10 epochs"]),
    "an option of another": ('schedule = "cosine"\nschedule_options.factor = 0.1', ["no option `factor`"]),
    "stopping by test images": ("early_stopping = 3", ['evaluation_split = "validation"']),
    "stopping too late": (f"{VALIDATION}early_stopping = 10", ["before the last of 10"]),
    "own of a built-in": ('optimizer = "own"', ["`study_cnn` is built in"]),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_said_with_the_line_that_mends_it(mistakes, name):
    keys, words = FAULTS[name]
    (mistake,) = mistakes(STUDY.format(keys))
    assert mistake.startswith("study.toml: $.defaults.")
    for one in words:
        assert one in mistake


def test_all_faults_are_said_together(mistakes):
    found = mistakes(STUDY.format('optimizer = "adamw"\nearly_stopping = 3\nschedule = "step"'))
    assert len(found) == 3


def test_contestants_that_take_turns_end_together(mistakes):
    (mistake,) = mistakes('order = "alternating"' + STUDY.format(f"{VALIDATION}early_stopping = 3"))
    assert 'order = "sequential"' in mistake


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("optimizer", "nadam"), ("optimizer", "adagrad"), ("optimizer", "momentum"),
        ("loss", "mean_absolute_error"), ("loss", "binary_focal_crossentropy"),
        ("precision", "float16"), ("precision", "bfloat16"), ("schedule", "cosine_restarts"),
    ],
)  # fmt: skip
def test_nothing_is_suggested_that_trains_otherwise(mistakes, key, value):
    (mistake,) = mistakes(STUDY.format(f'{key} = "{value}"'))
    assert f"got `{value}`" in mistake
    assert "did you mean" not in mistake


def test_a_misspelling_is_still_found(mistakes):
    (mistake,) = mistakes(STUDY.format('optimizer = "rmsporp"'))
    assert "did you mean `rmsprop`?" in mistake


MODEL = "def build(input_shape, num_classes): ...\n"
FUNCTIONS = {
    "compile": "def compile(model): ...\n",
    "optimizer": "def optimizer(): ...\n",
    "loss": "def loss(): ...\n",
}


@pytest.mark.parametrize(
    ("functions", "keys", "words"),
    [
        (["compile"], "", ['write `optimizer = "own"`', 'write `loss = "own"`']),
        (["optimizer"], "", ['write `optimizer = "own"`']),
        (["optimizer"], 'optimizer = "own"\nloss = "own"', ["own loss: expected a function `loss()`"]),
        (["optimizer"], 'optimizer = "own"\nlearning_rate = 1\nclip_norm = 1', ["_rate", "clip_norm"]),
        (["compile", "loss"], 'optimizer = "own"\nloss = "own"', ["expected one way of both"]),
    ],
)  # fmt: skip
def test_own_functions_are_asked_for_or_not_there(mistakes, tmp_path, functions, keys, words):
    (tmp_path / "net.py").write_text(MODEL + "".join(FUNCTIONS[name] for name in functions))
    found = mistakes(STUDY.format(f'model = "net.py"\n{keys}'))
    assert len(found) == len(words)
    assert all(word in one for word, one in zip(words, found, strict=True)), found


def test_own_functions_that_fit(load_text, tmp_path):
    (tmp_path / "net.py").write_text(MODEL + FUNCTIONS["compile"])
    study = load_text(STUDY.format('model = "net.py"\noptimizer = "own"\nloss = "own"'))
    assert study.trials[0].settings.optimizer == "own"


@pytest.mark.parametrize(
    "key", ['schedule = "cosine"', 'class_weights = "balanced"', "label_smoothing = 0.1"]
)
def test_what_elephas_does_not_carry_is_refused(mistakes, key):
    text = STUDY.format(f'distribution = "elephas"\n{key}').replace("jax", "tensorflow")
    (mistake,) = mistakes(text)
    assert "leave it out" in mistake


def test_settings_enter_the_identity_and_defaults_do_not(load_text):
    plain = load_text(STUDY.format(""))
    default = load_text(STUDY.format('weight_decay = 0.0\nclip_norm = "none"\nschedule = "constant"'))
    assert (plain.digest, plain.trials[0].trial_id) == (default.digest, default.trials[0].trial_id)
    other = load_text(STUDY.format("weight_decay = 0.01"))
    assert other.digest != plain.digest
    assert other.trials[0].trial_id != plain.trials[0].trial_id


def test_what_was_stored_before_keeps_its_name():
    assert TrialSettings("jax", "jax").trial_id == "68786e4882db5bec"


def test_a_recipe_can_be_an_axis(load_text):
    text = '[matrix]\nschedule = ["constant", "cosine"]\nclip_global_norm = ["none", 1.0]'
    labels = [trial.label for trial in load_text(STUDY.format("") + text).trials]
    assert len(labels) == 4
    assert labels[-1] == "clip global norm 1.0 · cosine"


@pytest.mark.parametrize(
    ("keys", "reason"),
    [
        ({"optimizer": "adamw", "weight_decay": 0.01}, "no AdamW"),
        ({"weight_decay": 0.01}, "no decoupled weight decay"),
        ({"clip_norm": 1.0}, "clip_global_norm"),
        ({"clip_global_norm": 1.0}, None),
    ],
)
@pytest.mark.parametrize("backend", ["theano", "tensorflow1"])
def test_what_keras_2_lacks_skips_it(backend, keys, reason):
    found = backends.skip_reason(TrialSettings(backend, "vintage", **keys))
    assert found is None if reason is None else reason in found


def test_a_verification_has_the_schedules_own_length():
    long, short = (TrialSettings("jax", "jax", schedule="cosine", epochs=epochs) for epochs in (90, 20))
    assert long.verified_id != short.verified_id
    assert TrialSettings("jax", "jax", epochs=90).verified_id == TrialSettings("jax", "jax").verified_id
