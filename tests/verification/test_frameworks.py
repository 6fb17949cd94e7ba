"""Real contestants: certified where they are known to agree, and every known difference named."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from bakeoff import verification
from bakeoff.execute import Provision
from bakeoff.study import Agreement
from bakeoff.verification.contestants import groups
from bakeoff_worker.job import TrialSettings

pytestmark = pytest.mark.slow

HOME = {
    "tensorflow": "tensorflow",
    "jax": "jax",
    "torch": "torch",
    "theano": "theano",
    "tensorflow1": "vintage",
    "plain_tensorflow": "tensorflow",
    "plain_jax": "jax",
    "plain_torch": "torch",
}
OWN = """
def build(input_shape, num_classes):
    from keras import layers, models

    inputs = x = layers.Input(shape=input_shape)
    x = layers.GaussianNoise(0.1, name="noise")(x)
    x = layers.SeparableConv2D(4, (3, 3), activation="relu", name="separable")(x)
    x = layers.Lambda(lambda t: 2.0 * t - 0.1, name="stretched")(x)
    x = layers.AveragePooling2D((4, 4), name="pool")(x)
    x = layers.Flatten(name="flat")(x)
    x = layers.Dense(12, name="dense")(x)
    x = layers.BatchNormalization(momentum=0.9, name="norm")(x)
    x = layers.Activation("relu", name="relu")(x)
    x = layers.Dropout(0.3, name="drop")(x)
    inner = models.Sequential([layers.Dense(8, activation="tanh", name="inside")])
    return models.Model(inputs, layers.Dense(num_classes, activation="softmax", name="out")(inner(x)))
"""


@pytest.fixture
def verified(dataset, framework):
    """Takes backends and settings; gives what is said of them; skips where the oldest stack can't be had."""

    def judge(*contestants, data=dataset, **settings):
        trials, provisions = [], {}
        for backend, changes in contestants:
            home = changes.pop("environment", HOME[backend])
            trials.append(
                (f"{backend} {changes or ''}".strip(), TrialSettings(backend, home, **settings, **changes))
            )
        (group,) = groups(trials)
        for one in group.contestants:
            model = one.settings.model
            file = Path(model) if model.endswith(".py") else None
            provisions[one.verified_id] = Provision(framework(one.settings.environment), data, file)
        with verification.computing([group], provisions, seed=5) as judged:
            found = judged(group)
        assert {one.label: one.reason for one in found.contestants if one.judgement is None} == {}
        return found

    return judge


def sentences(verified):
    """For whoever reads why a test failed."""
    return [
        f"{one.label}: {finding.sentence()}"
        for one in verified.contestants
        for finding in one.judgement.findings
    ]


def findings(verified):
    return {one.label: [finding.cause for finding in one.judgement.findings] for one in verified.contestants}


def test_the_studys_network_on_every_backend(verified):
    found = verified(*((backend, {}) for backend in HOME))
    assert findings(found) == {
        "tensorflow": [],
        "jax": [],
        "torch": [],
        "theano": ["ties_and_relu_at_zero"],
        "tensorflow1": ["step_counter"],
        "plain_tensorflow": [],
        "plain_jax": [],
        "plain_torch": [],
    }
    plain = ("plain_tensorflow", "plain_jax", "plain_torch")
    assert found.alike == (("tensorflow", "jax", "torch", *plain), ("theano",), ("tensorflow1",))
    for one in found.contestants[-3:]:
        assert one.judgement.worst["optimizer"].difference < 1e-4, one.label
        assert one.judgement.worst["weights"].difference < 1e-5, one.label
    for one in found.contestants[:-3]:
        assert one.judgement.is_explained
        assert one.judgement.worst["forward"].difference < 1e-5, one.label
        assert one.judgement.worst["gradients"].difference < 1e-4, one.label
        assert one.judgement.worst["weights"].difference < 1e-4, one.label
    ties = found.contestants[3].judgement.findings[0]
    assert ties.only_at_kinks and ties.scene == "as_trained"
    certificate = next(one for one in found.certificates if (one.one, one.other) == ("jax", "torch"))
    assert certificate.direct["forward"].difference < 1e-5


def test_layouts_of_one_backend(verified):
    found = verified(
        ("torch", {}),
        ("torch", {"data_layout": "channels_first"}),
    )
    assert found.all_same, sentences(found)


def test_double_precision_shows_what_is_computed_in_single(verified):
    few = {"filters": [4, 3], "dense": [9, 7]}
    contestants = ((backend, {}) for backend in ("jax", "torch", "tensorflow"))
    found = verified(*contestants, precision="float64", model_options=few)
    assert findings(found) == {"jax": [], "torch": ["single_precision"], "tensorflow": ["single_constants"]}
    assert found.contestants[0].judgement.worst["weights"].difference < 1e-13
    torch = found.contestants[1].judgement.findings[0]
    assert torch.where == "dense", (
        "Keras 3 on PyTorch multiplies matrices in single precision whatever floatx says"
    )


@pytest.mark.parametrize(
    "optimizer",
    ["rmsprop", *(pytest.param(name, marks=pytest.mark.exhaustive) for name in ("sgd", "adamax"))],
)
def test_other_optimizers(verified, optimizer):
    found = verified(
        ("jax", {}), ("tensorflow1", {}), model="lenet5", optimizer=optimizer, loss="mean_squared_error"
    )
    expected = {"sgd": [], "rmsprop": ["epsilon_beside_root"], "adamax": ["step_counter"]}[optimizer]
    assert findings(found) == {"jax": [], "tensorflow1": expected}


RECIPE = {
    "label_smoothing": 0.1,
    "class_weights": "balanced",
    "clip_global_norm": 0.5,
    "schedule": "cosine",
    "schedule_options": {"final_share": 0.1, "warm_up_epochs": 3},
    "epochs": 10,
}


def test_a_recipe_of_many_keys_is_the_same_to_all(verified):
    sgd = {
        "optimizer": "sgd",
        "optimizer_options": {"momentum": 0.9, "nesterov": True},
        "learning_rate": 0.05,
    }
    found = verified(("jax", {}), ("tensorflow1", {}), model="lenet5", **sgd, **RECIPE)
    assert findings(found) == {"jax": [], "tensorflow1": []}
    assert found.all_same, sentences(found)
    found = verified(
        ("jax", {}), ("torch", {}), model="lenet5", optimizer="adamw", weight_decay=0.05, **RECIPE
    )
    assert found.all_same, sentences(found)
    assert all(one.judgement.worst["weights"].difference < 1e-4 for one in found.contestants)


OWN_RECIPE = """
def build(input_shape, num_classes):
    from keras import layers, models

    flat = layers.Flatten(input_shape=input_shape)
    return models.Sequential([flat, layers.Dense(num_classes, activation="softmax")])


def compile(model):
    from keras import losses, optimizers

    optimizer = optimizers.SGD(learning_rate=0.05, momentum=0.9, clipvalue=0.5)
    model.compile(optimizer=optimizer, loss=losses.CategoricalCrossentropy(label_smoothing=0.1))
"""


def test_a_recipe_of_the_users_own(verified, tmp_path):
    file = tmp_path / "own.py"
    file.write_text(OWN_RECIPE)
    own = {"model": str(file), "content": {"model": "own"}, "optimizer": "own", "loss": "own"}
    found = verified(("jax", {}), ("tensorflow1", {}), **own)
    assert found.all_same, sentences(found)
    assert {one.judgement.reference for one in found.contestants} == {"NumPy in float64"}
    assert all(one.judgement.not_examined == () for one in found.contestants)


def test_a_network_of_the_users_with_layers_that_the_reference_lacks(verified, tmp_path):
    file = tmp_path / "own.py"
    file.write_text(OWN)
    found = verified(
        ("jax", {}), ("tensorflow", {}), ("tensorflow1", {}),
        model=str(file), content={"model": "own"}, optimizer="sgd", learning_rate=0.05,
    )  # fmt: skip
    assert found.alike == (("jax", "tensorflow"), ("tensorflow1",)), sentences(found)
    assert findings(found)["tensorflow1"] == ["moving_variance"]
    reference = "NumPy in float64 and, as it has no layer Lambda, the vote of all contestants"
    assert {one.judgement.reference for one in found.contestants} == {reference}
    assert all(one.judgement.is_explained for one in found.contestants)


NESTED = """
import keras
from keras import layers, models, ops


class Jitter(layers.Layer):
    def __init__(self, **options):
        super().__init__(**options)
        self.seeds = keras.random.SeedGenerator(1)

    def call(self, x, training=None):
        shape = (ops.shape(x)[0], 1, 1, 1)
        return x * keras.random.uniform(shape, 0.5, 1.5, seed=self.seeds) if training else x


class Block(layers.Layer):
    def __init__(self, **options):
        super().__init__(**options)
        self.convolutions = [layers.Conv2D(4, 3, padding="same"), layers.Conv2D(4, 3, padding="same")]

    def call(self, x):
        for convolution in self.convolutions:
            x = x + ops.tanh(convolution(x))
        return x


def build(input_shape, num_classes):
    inputs = layers.Input(shape=input_shape)
    x = layers.RandomRotation(0.1, name="turned")(Jitter(name="jitter")(inputs))
    x = layers.AveragePooling2D(3, strides=2, padding="same", name="pool")(x)
    x = Block(name="block")(layers.Conv2DTranspose(4, 3, name="transposed")(x))
    x = layers.Bidirectional(layers.LSTM(3), name="recurrent")(layers.Reshape((16, 64))(x))
    return models.Model(inputs, layers.Dense(num_classes, activation="softmax", name="out")(x))
"""


@pytest.mark.exhaustive
def test_a_fault_upstream_and_what_the_reference_lacks_after_it(verified, tmp_path):
    """PyTorch's average pooling is another layer here (keras-team/keras#23233); all that follows is not."""
    file = tmp_path / "nested.py"
    file.write_text(NESTED)
    found = verified(("tensorflow", {}), ("torch", {}), model=str(file), content={"model": "nested"})
    assert findings(found) == {"tensorflow": [], "torch": ["unknown"]}, sentences(found)
    (finding,) = found.contestants[1].judgement.findings
    assert (finding.stage, finding.where) == ("forward", "pool")
    assert found.certificates[0].verdict == verification.Agreement.DIFFERENT


def test_what_is_nested_recurrent_or_draws_is_certified(verified, tmp_path):
    file = tmp_path / "same.py"
    file.write_text(NESTED.replace("AveragePooling2D(3, strides", "MaxPooling2D(3, strides"))
    found = verified(("tensorflow", {}), ("torch", {}), model=str(file), content={"model": "same"})
    assert found.all_same, sentences(found)
    assert all(one.judgement.is_explained for one in found.contestants)


ONE_LOGIT = """
from keras import layers, models

from_logits = True


def build(input_shape, num_classes):
    parts = [layers.Conv2D(4, 5, activation="tanh"), layers.GlobalAveragePooling2D(), layers.Dense(1)]
    return models.Sequential([layers.Input(shape=input_shape), *parts])
"""
SUBCLASS = """
from keras import activations, layers, models


class Net(models.Model):
    def __init__(self, **options):
        super().__init__(**options)
        self.stem, self.pool = layers.Conv2D(4, 5), layers.GlobalAveragePooling2D()
        self.head = layers.Dense(1, activation="sigmoid")

    def call(self, x):
        return self.head(self.pool(activations.tanh(self.stem(x))))


def build(input_shape, num_classes):
    return Net()
"""


@pytest.mark.parametrize("code", [ONE_LOGIT, SUBCLASS], ids=["one logit", "subclass, one sigmoid"])
def test_one_output_of_two_classes_is_certified(verified, dataset, tmp_path, code):
    """By the reference's own loss; by vote where a subclass computes between its layers."""
    two = tmp_path / "two"
    shutil.copytree(dataset, two)
    for name in ("y_train.npy", "y_test.npy"):
        np.save(two / name, np.load(two / name) % 2)
    (two / "about.json").write_text(json.dumps({"num_classes": 2}))
    file = tmp_path / "own.py"
    file.write_text(code)
    recipe = {"loss": "binary_crossentropy", "class_weights": [1.0, 3.0]}
    found = verified(
        ("jax", {}), ("torch", {}), data=two, model=str(file), content={"model": "own"}, **recipe
    )
    assert found.all_same, sentences(found)
    if code == ONE_LOGIT:
        assert {one.judgement.reference for one in found.contestants} == {"NumPy in float64"}
        assert findings(found) == {"jax": [], "torch": []}


@pytest.mark.parametrize(
    "backends",
    [
        {"jax": [], "torch": []},
        pytest.param(
            {"tensorflow": [], "theano": ["ties_and_relu_at_zero"], "tensorflow1": ["step_counter"]},
            marks=pytest.mark.exhaustive,
        ),
    ],
)
def test_equivalent_layers_are_held_against_the_layers_that_they_stand_for(verified, backends):
    """And are found what the backend is found without them."""
    found = verified(("jax", {}), *((one, {"equivalent_layers": True}) for one in backends))
    assert [[one.cause for one in each.judgement.findings] for each in found.contestants] == [
        [],
        *backends.values(),
    ], sentences(found)
    same = [one for one in found.certificates if one.verdict is Agreement.SAME]
    assert len(same) >= sum(not causes for causes in backends.values())
